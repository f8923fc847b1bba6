// An echo server with Go's net package: a goroutine per client, whose code reads sequentially. Behind
// Read, the runtime waits with epoll; it uses as many threads as there are processors.
//
// With the ports of three backends it is the server of labs 6 to 8: it answers lines, and searches.
package main

import (
	"bufio"
	"fmt"
	"net"
	"os"
	"strings"
	"time"
)

const maxLine = 4096

var backends = []string{"user", "query", "stock"}
var ports []string

func serve(client net.Conn) {
	defer client.Close()
	buffer := make([]byte, 16*1024)
	for {
		n, err := client.Read(buffer)
		if n > 0 {
			if _, err := client.Write(buffer[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

func serveLines(client net.Conn) {
	defer client.Close()
	lines := bufio.NewReaderSize(client, maxLine+1)
	for {
		line, err := lines.ReadSlice('\n')
		if err != nil {
			return
		}
		answer := line
		if words := string(line[:len(line)-1]); strings.HasPrefix(words, "search ") {
			answer = []byte(search(strings.TrimPrefix(words, "search ")) + "\n")
		}
		if _, err := client.Write(answer); err != nil {
			return
		}
	}
}

func search(words string) string {
	for i, name := range backends {
		answer, err := callBackend(ports[i], words)
		if err != nil {
			if timeout, ok := err.(net.Error); ok && timeout.Timeout() {
				return "error: " + name + " backend timed out"
			}
			return "error: " + name + " backend failed"
		}
		words = answer
	}
	return words
}

func callBackend(port, words string) (string, error) {
	deadline := time.Now().Add(time.Second)
	backend, err := net.DialTimeout("tcp4", "127.0.0.1:"+port, time.Second)
	if err != nil {
		return "", err
	}
	defer backend.Close()
	backend.SetDeadline(deadline)
	if _, err := backend.Write([]byte(words + "\n")); err != nil {
		return "", err
	}
	line, err := bufio.NewReaderSize(backend, maxLine+1).ReadSlice('\n')
	return strings.TrimSuffix(string(line), "\n"), err
}

func main() {
	if len(os.Args) != 2 && len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: go PORT [USER QUERY STOCK]")
		os.Exit(2)
	}
	listener, err := net.Listen("tcp4", "127.0.0.1:"+os.Args[1])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	fmt.Printf("listening on %s\n", listener.Addr())
	ports = os.Args[2:]
	handler := serve
	if len(ports) > 0 {
		handler = serveLines
	}
	for {
		client, err := listener.Accept()
		if err != nil {
			continue
		}
		go handler(client)
	}
}
