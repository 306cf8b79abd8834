// A load generator for one server and one kind of request: HTTP/1.1, keep-alive, one request at a time on each
// connection. It reads an order (JSON) from standard input and writes what it found (JSON) to standard output.
//
// It writes the bytes of a request and reads those of an answer itself, so that it costs a fraction of what any server
// costs. Each answer's status is counted, and its body compared with what was expected.
package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"os"
	"sort"
	"strconv"
	"sync"
	"sync/atomic"
	"syscall"
	"time"
)

// order says what to do. Expected has one answer for each body, or none where answers differ by nature.
type order struct {
	Address       string            `json:"address"`
	Path          string            `json:"path"`
	Headers       map[string]string `json:"headers"`
	Bodies        []string          `json:"bodies"`
	Expected      []string          `json:"expected"`
	Connections   int               `json:"connections"`
	WarmupSeconds float64           `json:"warmup_seconds"`
	Seconds       float64           `json:"seconds"`
	DrainSeconds  float64           `json:"drain_seconds"`
}

// window is the time that counts. It ends when its seconds are over and each connection could have been answered once,
// at the latest after the longest seconds: of a server that answers slower than that, less is known.
type window struct {
	from     time.Time
	length   atomic.Int64
	answered atomic.Int64
}

const longest = 5 * time.Second

// holds says whether a moment is in it.
func (w *window) holds(moment time.Time) bool {
	return !moment.Before(w.from) && !w.over(moment)
}

func (w *window) over(moment time.Time) bool {
	return moment.Sub(w.from) >= time.Duration(w.length.Load())
}

// result is what one round found. Answered are those that came within the window; latencies are of the requests that
// were sent in it, also of those answered after its end.
type result struct {
	Seconds    float64        `json:"seconds"`
	Answered   int            `json:"answered"`
	NotOk      int            `json:"not_ok"`
	Wrong      int            `json:"wrong"`
	Failed     int            `json:"failed"`
	Unfinished int            `json:"unfinished"`
	P50        float64        `json:"p50_ms"`
	P90        float64        `json:"p90_ms"`
	P99        float64        `json:"p99_ms"`
	Max        float64        `json:"max_ms"`
	Mean       float64        `json:"mean_ms"`
	Sampled    int            `json:"sampled"`
	Cpu        float64        `json:"cpu"`
	Statuses   map[string]int `json:"statuses"`
	Error      string         `json:"error,omitempty"`
}

// client is one connection, and what it counted.
type client struct {
	order     *order
	requests  [][]byte
	window    *window
	first     int
	busy      bool
	latencies []time.Duration
	statuses  map[int]int
	notOk     int
	wrong     int
	err       error
}

func main() {
	var wanted order
	if err := json.NewDecoder(os.Stdin).Decode(&wanted); err != nil {
		fmt.Fprintln(os.Stderr, "the order cannot be read:", err)
		os.Exit(2)
	}
	if err := json.NewEncoder(os.Stdout).Encode(load(&wanted)); err != nil {
		os.Exit(2)
	}
}

func load(wanted *order) result {
	requests := rendered(wanted)
	counted := &window{from: time.Now().Add(seconds(wanted.WarmupSeconds))}
	counted.length.Store(math.MaxInt64)
	end := counted.from.Add(seconds(wanted.Seconds) + longest + seconds(wanted.DrainSeconds))
	clients := make([]*client, wanted.Connections)
	var all sync.WaitGroup
	for index := range clients {
		one := &client{order: wanted, requests: requests, window: counted, first: index, statuses: map[int]int{}}
		clients[index] = one
		all.Go(func() { one.err = one.run(end) })
	}
	cpu := watch(counted, wanted)
	all.Wait()
	return summary(clients, counted, cpu)
}

// watch ends the window when it is time, and says which share of one core this process took in it.
func watch(counted *window, wanted *order) float64 {
	time.Sleep(time.Until(counted.from))
	before, start := cpuTime(), time.Now()
	time.Sleep(seconds(wanted.Seconds))
	for counted.answered.Load() < int64(wanted.Connections) && time.Since(start) < longest {
		time.Sleep(20 * time.Millisecond)
	}
	counted.length.Store(int64(time.Since(counted.from)))
	return (cpuTime() - before).Seconds() / time.Since(start).Seconds()
}

func cpuTime() time.Duration {
	var usage syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &usage); err != nil {
		return 0
	}
	return time.Duration(usage.Utime.Nano() + usage.Stime.Nano())
}

func rendered(wanted *order) [][]byte {
	var lines bytes.Buffer
	for name, value := range wanted.Headers {
		fmt.Fprintf(&lines, "%s: %s\r\n", name, value)
	}
	requests := make([][]byte, len(wanted.Bodies))
	for index, body := range wanted.Bodies {
		requests[index] = fmt.Appendf(nil, "POST %s HTTP/1.1\r\nHost: %s\r\n%sContent-Length: %d\r\n\r\n%s",
			wanted.Path, wanted.Address, lines.String(), len(body), body)
	}
	return requests
}

// run asks until the window is over; an answer that is due then is still waited for, at most until the end.
func (c *client) run(end time.Time) error {
	connection, err := net.Dial("tcp", c.order.Address)
	if err != nil {
		return err
	}
	defer connection.Close()
	if err := connection.SetDeadline(end); err != nil {
		return err
	}
	reader := bufio.NewReaderSize(connection, 16384)
	var body []byte
	for turn := c.first; ; turn++ {
		sent := time.Now()
		if c.window.over(sent) {
			return nil
		}
		index := turn % len(c.requests)
		c.busy = true
		if _, err := connection.Write(c.requests[index]); err != nil {
			return err
		}
		status, closes, err := answer(reader, &body)
		if err != nil {
			return err
		}
		c.busy = false
		c.count(index, status, body, sent, time.Now())
		if closes {
			return errors.New("the server closed a kept connection")
		}
	}
}

func (c *client) count(index, status int, body []byte, sent, now time.Time) {
	c.statuses[status]++
	good := status >= 200 && status < 300
	if !good {
		c.notOk++
	} else if len(c.order.Expected) > 0 && string(body) != c.order.Expected[index] {
		c.wrong++
	}
	if good && c.window.holds(now) {
		c.window.answered.Add(1)
	}
	if good && !sent.Before(c.window.from) {
		c.latencies = append(c.latencies, now.Sub(sent))
	}
}

// answer reads one, whole, and says whether the server will close the connection.
func answer(reader *bufio.Reader, body *[]byte) (status int, closes bool, err error) {
	line, err := reader.ReadSlice('\n')
	if err != nil {
		return 0, false, err
	}
	if len(line) < 12 {
		return 0, false, fmt.Errorf("not a status line: %q", line)
	}
	if status, err = strconv.Atoi(string(line[9:12])); err != nil {
		return 0, false, err
	}
	length, chunked := -1, false
	for {
		if line, err = reader.ReadSlice('\n'); err != nil {
			return 0, false, err
		}
		line = bytes.TrimRight(line, "\r\n")
		if len(line) == 0 {
			break
		}
		name, value, _ := bytes.Cut(line, []byte(":"))
		value = bytes.TrimSpace(value)
		switch {
		case bytes.EqualFold(name, []byte("content-length")):
			if length, err = strconv.Atoi(string(value)); err != nil {
				return 0, false, err
			}
		case bytes.EqualFold(name, []byte("transfer-encoding")):
			chunked = true
		case bytes.EqualFold(name, []byte("connection")):
			closes = bytes.EqualFold(value, []byte("close"))
		}
	}
	if chunked || length < 0 {
		return 0, false, errors.New("an answer without a Content-Length")
	}
	if cap(*body) < length {
		*body = make([]byte, length)
	}
	*body = (*body)[:length]
	_, err = io.ReadFull(reader, *body)
	return status, closes, err
}

func summary(clients []*client, counted *window, cpu float64) result {
	found := result{Cpu: cpu, Statuses: map[string]int{}}
	found.Seconds = time.Duration(counted.length.Load()).Seconds()
	found.Answered = int(counted.answered.Load())
	var latencies []time.Duration
	for _, one := range clients {
		found.NotOk += one.notOk
		found.Wrong += one.wrong
		latencies = append(latencies, one.latencies...)
		for status, count := range one.statuses {
			found.Statuses[strconv.Itoa(status)] += count
		}
		if one.err != nil && errors.Is(one.err, os.ErrDeadlineExceeded) && one.busy {
			found.Unfinished++
		} else if one.err != nil {
			found.Failed++
			found.Error = one.err.Error()
		}
	}
	sort.Slice(latencies, func(a, b int) bool { return latencies[a] < latencies[b] })
	found.Sampled = len(latencies)
	if len(latencies) > 0 {
		var sum time.Duration
		for _, one := range latencies {
			sum += one
		}
		found.Mean = milliseconds(sum) / float64(len(latencies))
		found.P50, found.P90 = quantile(latencies, 0.5), quantile(latencies, 0.9)
		found.P99, found.Max = quantile(latencies, 0.99), quantile(latencies, 1)
	}
	return found
}

// quantile is the smallest latency that this share of all do not exceed.
func quantile(ordered []time.Duration, share float64) float64 {
	index := int(share*float64(len(ordered)) + 0.999999)
	return milliseconds(ordered[max(index, 1)-1])
}

func milliseconds(one time.Duration) float64 { return float64(one.Microseconds()) / 1000 }

func seconds(one float64) time.Duration { return time.Duration(one * float64(time.Second)) }
