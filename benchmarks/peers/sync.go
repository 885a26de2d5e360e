// As ours/sync.cjs, with goroutines and channels, on one processor; what Go has no such thing for is left out.
package main

import (
	"fmt"
	"runtime"
	"sort"
	"sync"
	"syscall"
)

func microseconds() float64 {
	var usage syscall.Rusage
	syscall.Getrusage(syscall.RUSAGE_SELF, &usage)
	return float64(usage.Utime.Nano()+usage.Stime.Nano()) / 1000
}

func microsecondsOf(run func()) float64 {
	start := microseconds()
	run()
	return microseconds() - start
}

func nanosecondsEachOf(count int, measure func() float64) float64 {
	measure()
	var all []float64
	for i := 0; i < 7; i++ {
		all = append(all, measure()*1000/float64(count))
	}
	sort.Float64s(all)
	return all[3]
}

func nanosecondsEach(count int, run func()) float64 {
	return nanosecondsEachOf(count, func() float64 { return microsecondsOf(run) })
}

func many(group *sync.WaitGroup, count int, run func()) {
	group.Add(count)
	for i := 0; i < count; i++ {
		go func() {
			run()
			group.Done()
		}()
	}
}

func event() float64 {
	const rounds, waiters = 20, 1000
	round := func() float64 {
		event, done := make(chan struct{}), make(chan struct{})
		left := waiters
		var group sync.WaitGroup
		many(&group, waiters, func() {
			<-event
			left--
			if left == 0 {
				close(done)
			}
		})
		runtime.Gosched()
		return microsecondsOf(func() {
			close(event)
			<-done
		})
	}
	return nanosecondsEachOf(rounds*waiters, func() float64 {
		sum := 0.0
		for i := 0; i < rounds; i++ {
			sum += round()
		}
		return sum
	})
}

func bounded() float64 {
	const fibers, items = 100, 100
	return nanosecondsEach(fibers*items, func() {
		queue := make(chan int, 10)
		var group sync.WaitGroup
		many(&group, fibers, func() {
			for i := 0; i < items; i++ {
				<-queue
			}
		})
		many(&group, fibers, func() {
			for i := 0; i < items; i++ {
				queue <- i
			}
		})
		group.Wait()
	})
}

func uncontended() float64 {
	const count = 300_000
	semaphore := make(chan struct{}, 1)
	return nanosecondsEach(count, func() {
		for i := 0; i < count; i++ {
			semaphore <- struct{}{}
			<-semaphore
		}
	})
}

func contended() float64 {
	const fibers, times = 100, 100
	return nanosecondsEach(fibers*times, func() {
		semaphore := make(chan struct{}, 1)
		var group sync.WaitGroup
		many(&group, fibers, func() {
			for i := 0; i < times; i++ {
				semaphore <- struct{}{}
				runtime.Gosched()
				<-semaphore
				runtime.Gosched()
			}
		})
		group.Wait()
	})
}

func main() {
	runtime.GOMAXPROCS(1)
	fmt.Printf("{\"bounded\": %f, \"uncontended\": %f, \"contended\": %f, \"event\": %f}\n",
		bounded(), uncontended(), contended(), event())
}
