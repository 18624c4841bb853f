// SPDX-License-Identifier: Apache-2.0

// Package greeting is a second package, so that the build is of a module.
package greeting

// Text returns what the server says.
func Text(version string) string { return "go " + version }
