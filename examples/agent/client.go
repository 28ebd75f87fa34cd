// A program in Go with tokens that renew themselves: `go run client.go PROFILE URL`, beside `regrant agent`.
package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"time"
)

func socket() string {
	if path := os.Getenv("REGRANT_AGENT"); path != "" {
		return path
	}
	return filepath.Join(os.Getenv("XDG_RUNTIME_DIR"), "regrant-agent.sock")
}

var agent = http.Client{Timeout: time.Minute, Transport: &http.Transport{
	DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", socket())
	},
}}

// token is a fresh access token; another one than refused, which an API did not take.
func token(profile, refused string) (string, error) {
	url, method := "http://agent/v1/token/"+profile, http.MethodGet
	if refused != "" {
		method = http.MethodPost
	}
	request, err := http.NewRequest(method, url, strings.NewReader(refused))
	if err != nil {
		return "", err
	}
	answer, err := agent.Do(request)
	if err != nil {
		return "", err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err == nil && answer.StatusCode != http.StatusOK {
		err = fmt.Errorf("%s: %s", answer.Status, text)
	}
	return strings.TrimSpace(string(text)), err
}

// bearer adds a token to each request; one that is refused is replaced once. Requests with a body need GetBody for that.
type bearer struct{ profile string }

func (b bearer) RoundTrip(request *http.Request) (*http.Response, error) {
	refused := ""
	for {
		fresh, err := token(b.profile, refused)
		if err != nil {
			return nil, err
		}
		again := request.Clone(request.Context())
		if request.GetBody != nil {
			if again.Body, err = request.GetBody(); err != nil {
				return nil, err
			}
		}
		again.Header.Set("Authorization", "Bearer "+fresh)
		answer, err := http.DefaultTransport.RoundTrip(again)
		isOver := err == nil && answer.StatusCode == http.StatusUnauthorized &&
			strings.Contains(answer.Header.Get("WWW-Authenticate"), "invalid_token")
		if refused != "" || !isOver || (request.Body != nil && request.GetBody == nil) {
			return answer, err
		}
		answer.Body.Close()
		refused = fresh
	}
}

func main() {
	client := http.Client{Timeout: time.Minute, Transport: bearer{os.Args[1]}}
	answer, err := client.Get(os.Args[2])
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
	defer answer.Body.Close()
	_, _ = io.Copy(os.Stdout, answer.Body)
	if answer.StatusCode != http.StatusOK {
		os.Exit(1)
	}
}
