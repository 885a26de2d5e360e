// As ours/spawn.cjs, with goroutines, on one processor.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"time"
)

func median(count int, run func()) float64 {
	var all []float64
	for i := 0; i < 8; i++ {
		start := time.Now()
		run()
		all = append(all, float64(time.Since(start).Nanoseconds())/float64(count))
	}
	sort.Float64s(all)
	return all[4]
}

func batches(count, size int) func() {
	return func() {
		for i := 0; i < count; i++ {
			var group sync.WaitGroup
			group.Add(size)
			for j := 0; j < size; j++ {
				go group.Done()
			}
			group.Wait()
		}
	}
}

func main() {
	runtime.GOMAXPROCS(1)
	single := median(30_000, batches(30_000, 1))
	batch := median(30_000, batches(30, 1000))
	fmt.Printf("{\"single\": %f, \"batch\": %f}\n", single, batch)
}
