// As ours/memory.cjs, with goroutines that wait for a channel to be closed.
package main

import (
	"fmt"
	"os"
	"regexp"
	"runtime"
	"strconv"
	"sync"
	"syscall"
)

func kibibytes() float64 {
	runtime.GC()
	status, _ := os.ReadFile("/proc/self/status")
	sum := 0
	for _, match := range regexp.MustCompile(`(?m)^(?:VmRSS|VmPTE):\s*(\d+)`).FindAllSubmatch(status, -1) {
		number, _ := strconv.Atoi(string(match[1]))
		sum += number
	}
	return float64(sum)
}

func microseconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Sec+usage.Stime.Sec)*1e6 + float64(usage.Utime.Usec+usage.Stime.Usec)
}

func main() {
	runtime.GOMAXPROCS(1)
	count, _ := strconv.Atoi(os.Args[1])
	gate := make(chan struct{})
	var ended sync.WaitGroup
	spawn := func(many int) {
		var suspended sync.WaitGroup
		suspended.Add(many)
		ended.Add(many)
		for i := 0; i < many; i++ {
			go func() {
				suspended.Done()
				<-gate
				ended.Done()
			}()
		}
		suspended.Wait()
	}
	spawn(100)
	before, start := kibibytes(), microseconds()
	spawn(count)
	create := (microseconds() - start) / float64(count)
	memory := (kibibytes() - before) / float64(count)
	start = microseconds()
	close(gate)
	ended.Wait()
	end := (microseconds() - start) / float64(count)
	fmt.Printf("{\"create\": %f, \"memory\": %f, \"end\": %f}\n", create, memory, end)
}
