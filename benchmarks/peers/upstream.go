// As ours/upstream.cjs, with net/http, on one processor.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
)

var client = &http.Client{Transport: &http.Transport{MaxIdleConnsPerHost: 10000}}

func get(url string) string {
	response, err := client.Get(url)
	if err != nil {
		panic(err)
	}
	defer response.Body.Close()
	text, err := io.ReadAll(response.Body)
	if err != nil {
		panic(err)
	}
	return strings.TrimSpace(string(text))
}

func main() {
	runtime.GOMAXPROCS(1)
	url := "http://127.0.0.1:" + os.Args[1] + "/"
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		title := get(url)
		item := get(url)
		response.Header().Set("Content-Type", "text/html")
		items := strings.Repeat("<li>"+item+"</li>\n", 10)
		io.WriteString(response, "<!doctype html>\n<h1>"+title+"</h1>\n<ul>\n"+items+"</ul>\n")
	}))
}
