# SPDX-License-Identifier: Apache-2.0
module Greeting
  def self.text(version) = "ruby #{version}"
end
