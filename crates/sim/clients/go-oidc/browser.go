package main

import (
	"fmt"
	"html"
	"io"
	"net/http"
	"net/http/cookiejar"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"
)

var (
	formTag = regexp.MustCompile(`<form[^>]*>`)
	hidden  = regexp.MustCompile(`<input[^>]*type="hidden"[^>]*>`)
)

// A browser, as far as the built-in pages need one: cookies, forms, and redirects until one leaves the server.
type browser struct {
	http               *http.Client
	username, password string
}

func newBrowser(username, password string) (*browser, error) {
	jar, err := cookiejar.New(nil)
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &browser{&http.Client{Jar: jar, CheckRedirect: stay}, username, password}, err
}

func attribute(tag, name string) string {
	found := regexp.MustCompile(`\s` + name + `="([^"]*)"`).FindStringSubmatch(tag)
	if found == nil {
		return ""
	}
	return html.UnescapeString(found[1])
}

// walk follows a URL of the server, logs in and allows where it is asked to: what comes back, and the pages it saw.
func (b *browser) walk(start, redirectURI string) (*url.URL, []string, error) {
	base, err := url.Parse(start)
	if err != nil {
		return nil, nil, err
	}
	var pages []string
	answer, err := b.http.Get(start)
	for range 40 {
		if err != nil {
			return nil, nil, err
		}
		body, err := io.ReadAll(answer.Body)
		answer.Body.Close()
		if err != nil {
			return nil, nil, err
		}
		if answer.StatusCode >= 300 && answer.StatusCode < 400 {
			next, err := answer.Location()
			if err != nil {
				return nil, nil, err
			}
			if plain, _, _ := strings.Cut(next.String(), "?"); plain == redirectURI {
				return next, pages, nil
			}
			if next.Host != base.Host {
				return nil, nil, fmt.Errorf("sent to %s", next)
			}
			answer, err = b.http.Get(next.String())
			if err != nil {
				return nil, nil, err
			}
			continue
		}
		page := string(body)
		at := formTag.FindStringIndex(page)
		isBusy := answer.StatusCode == http.StatusTooManyRequests
		if (answer.StatusCode != http.StatusOK && !isBusy) || at == nil {
			return nil, nil, fmt.Errorf("%s from %s: %s", answer.Status, answer.Request.URL, page)
		}
		if isBusy {
			// Too many passwords are being verified at once: the same page again, and when to press its button.
			pause, err := strconv.Atoi(answer.Header.Get("Retry-After"))
			if err != nil {
				return nil, nil, err
			}
			time.Sleep(time.Duration(pause) * time.Second)
		}
		fields := url.Values{}
		for _, input := range hidden.FindAllString(page[at[1]:], -1) {
			fields.Set(attribute(input, "name"), attribute(input, "value"))
		}
		switch {
		case strings.Contains(page, `id="login-submit"`):
			if len(pages) == 0 || pages[len(pages)-1] != "login" {
				pages = append(pages, "login")
			}
			fields.Set("username", b.username)
			fields.Set("password", b.password)
		case strings.Contains(page, `id="consent-allow"`):
			pages = append(pages, "consent")
			fields.Set("decision", "allow")
		default:
			return nil, nil, fmt.Errorf("an unknown page: %s", page)
		}
		action, err := base.Parse(attribute(page[at[0]:at[1]], "action"))
		if err != nil {
			return nil, nil, err
		}
		request, err := http.NewRequest(http.MethodPost, action.String(), strings.NewReader(fields.Encode()))
		if err != nil {
			return nil, nil, err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		request.Header.Set("Origin", base.Scheme+"://"+base.Host)
		answer, err = b.http.Do(request)
		if err != nil {
			return nil, nil, err
		}
	}
	return nil, nil, fmt.Errorf("no end of redirects")
}
