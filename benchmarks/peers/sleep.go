// As ours/sleep.cjs, with net/http, on one processor.
package main

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"time"
)

func main() {
	runtime.GOMAXPROCS(1)
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		panic(err)
	}
	fmt.Println(listener.Addr().(*net.TCPAddr).Port)
	http.Serve(listener, http.HandlerFunc(func(response http.ResponseWriter, _ *http.Request) {
		time.Sleep(20 * time.Millisecond)
		response.Header().Set("Content-Type", "text/plain")
		io.WriteString(response, "hello\n")
	}))
}
