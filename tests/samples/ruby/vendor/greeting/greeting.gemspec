# SPDX-License-Identifier: Apache-2.0
Gem::Specification.new do |gem|
  gem.name = "greeting"
  gem.version = "1.0.0"
  gem.summary = "What the sample says"
  gem.authors = ["sample"]
  gem.files = ["lib/greeting.rb"]
end
