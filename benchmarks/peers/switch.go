// pair: to another goroutine and back, through two channels, on one processor.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"time"
)

func main() {
	runtime.GOMAXPROCS(1)
	const count = 100_000
	there, back := make(chan struct{}), make(chan struct{})
	go func() {
		for {
			<-there
			back <- struct{}{}
		}
	}()
	var all []float64
	for i := 0; i < 8; i++ {
		start := time.Now()
		for j := 0; j < count; j++ {
			there <- struct{}{}
			<-back
		}
		all = append(all, float64(time.Since(start).Nanoseconds())/count)
	}
	sort.Float64s(all)
	fmt.Printf("{\"pair\": %f}\n", all[4])
}
