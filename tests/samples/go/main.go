// SPDX-License-Identifier: Apache-2.0

// Answers with a version.
package main

import (
	"fmt"
	"net/http"
	"os"

	"example.com/team/sample/greeting"
)

func main() {
	http.HandleFunc("/", func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, greeting.Text("one")) })
	panic(http.ListenAndServe(":"+os.Getenv("PORT"), nil))
}
