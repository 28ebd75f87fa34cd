// golang.org/x/oauth2 and go-oidc against a running server: one line of JSON for each step, and an end at the first that fails.
//
// ISSUER, CLIENT_ID, CLIENT_SECRET (none for a public client), REDIRECT_URI, POST_LOGOUT_REDIRECT_URI, USERNAME, PASSWORD.
package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strconv"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"golang.org/x/oauth2"
)

var (
	id     = os.Getenv("CLIENT_ID")
	secret = os.Getenv("CLIENT_SECRET")
	bye    = os.Getenv("POST_LOGOUT_REDIRECT_URI")
)

func step(what string, run func(facts map[string]any) error) {
	facts := map[string]any{"client": "go-oidc " + id, "step": what, "ok": true}
	err := run(facts)
	if err != nil {
		facts["ok"], facts["message"] = false, err.Error()
	}
	json.NewEncoder(os.Stdout).Encode(facts)
	if err != nil {
		os.Exit(1)
	}
}

func check(ok bool, format string, about ...any) error {
	if ok {
		return nil
	}
	return fmt.Errorf(format, about...)
}

var errGone = errors.New("the connection is gone")

// The server has answered, so it has written; the answer never gets to the library.
type losing struct{ answer []byte }

func (l *losing) RoundTrip(request *http.Request) (*http.Response, error) {
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	if l.answer, err = io.ReadAll(answer.Body); err != nil {
		return nil, err
	}
	return nil, errGone
}

// What a login leaves.
type session struct {
	token *oauth2.Token
	raw   string
	id    *oidc.IDToken
	more  struct {
		AuthTime int64  `json:"auth_time"`
		Azp      string `json:"azp"`
	}
}

type client struct {
	provider *oidc.Provider
	config   oauth2.Config
	browser  *browser
	further  struct {
		Revocation string `json:"revocation_endpoint"`
		EndSession string `json:"end_session_endpoint"`
	}
}

// validated lets go-oidc check signature, iss, aud, exp and at_hash.
func (c *client) validated(ctx context.Context, token *oauth2.Token) (*session, error) {
	made := &session{token: token}
	made.raw, _ = token.Extra("id_token").(string)
	var err error
	if made.id, err = c.provider.Verifier(&oidc.Config{ClientID: id}).Verify(ctx, made.raw); err != nil {
		return nil, err
	}
	if err := made.id.VerifyAccessToken(token.AccessToken); err != nil {
		return nil, err
	}
	return made, made.id.Claims(&made.more)
}

func (c *client) login(ctx context.Context) (*session, []string, error) {
	verifier, state, nonce := oauth2.GenerateVerifier(), rand.Text(), rand.Text()
	start := c.config.AuthCodeURL(state, oidc.Nonce(nonce), oauth2.S256ChallengeOption(verifier), oauth2.SetAuthURLParam("prompt", "consent"))
	came, pages, err := c.browser.walk(start, c.config.RedirectURL)
	if err != nil {
		return nil, nil, err
	}
	if came.Query().Get("state") != state {
		return nil, nil, fmt.Errorf("another state: %s", came)
	}
	token, err := c.config.Exchange(ctx, came.Query().Get("code"), oauth2.VerifierOption(verifier))
	if err != nil {
		return nil, nil, err
	}
	made, err := c.validated(ctx, token)
	if err != nil {
		return nil, nil, err
	}
	return made, pages, check(made.id.Nonce == nonce, "another nonce")
}

// present lets the library refresh with this token.
func (c *client) present(ctx context.Context, token string) (*oauth2.Token, error) {
	return c.config.TokenSource(ctx, &oauth2.Token{RefreshToken: token}).Token()
}

func (c *client) refresh(ctx context.Context, first *session, token string) (string, error) {
	answer, err := c.present(ctx, token)
	if err != nil {
		return "", err
	}
	made, err := c.validated(ctx, answer)
	if err != nil {
		return "", err
	}
	same := made.id.Issuer == first.id.Issuer && made.id.Subject == first.id.Subject && slices.Equal(made.id.Audience, first.id.Audience) && made.more == first.more
	fresh := !made.id.IssuedAt.Before(first.id.IssuedAt) && time.Since(made.id.IssuedAt).Abs() < time.Minute
	return answer.RefreshToken, check(same && fresh, "another identity: %+v", made.id)
}

// refused must be told `invalid_grant`; whoever is told to come again does. How often that was.
func (c *client) refused(ctx context.Context, token string) (int, error) {
	for times := range 20 {
		_, err := c.present(ctx, token)
		var answer *oauth2.RetrieveError
		if !errors.As(err, &answer) {
			return times, fmt.Errorf("not refused: %w", err)
		}
		if answer.Response.StatusCode != http.StatusServiceUnavailable {
			ok := answer.ErrorCode == "invalid_grant" && answer.Response.StatusCode == http.StatusBadRequest
			return times, check(ok, "another refusal: %v", err)
		}
		after, err := strconv.Atoi(answer.Response.Header.Get("Retry-After"))
		if err != nil {
			return times, err
		}
		time.Sleep(time.Duration(after) * time.Second)
	}
	return 20, fmt.Errorf("told to come again for ever")
}

func main() {
	ctx := context.Background()
	c := &client{}
	step("discover", func(map[string]any) (err error) {
		if c.browser, err = newBrowser(os.Getenv("USERNAME"), os.Getenv("PASSWORD")); err != nil {
			return err
		}
		if c.provider, err = oidc.NewProvider(ctx, os.Getenv("ISSUER")); err != nil {
			return err
		}
		scopes := []string{oidc.ScopeOpenID, "email", "profile", oidc.ScopeOfflineAccess}
		c.config = oauth2.Config{ClientID: id, ClientSecret: secret, Endpoint: c.provider.Endpoint(), RedirectURL: os.Getenv("REDIRECT_URI"), Scopes: scopes}
		return c.provider.Claims(&c.further)
	})

	var first *session
	step("login", func(facts map[string]any) error {
		made, pages, err := c.login(ctx)
		if err != nil {
			return err
		}
		first, facts["pages"] = made, pages
		return check(slices.Equal(pages, []string{"login", "consent"}), "other pages: %v", pages)
	})
	step("userinfo", func(map[string]any) error {
		info, err := c.provider.UserInfo(ctx, oauth2.StaticTokenSource(first.token))
		if err != nil {
			return err
		}
		return check(info.Subject == first.id.Subject && info.Email == "alice@example.com" && info.EmailVerified, "another user: %+v", info)
	})

	spent := first.token.RefreshToken
	var now string
	step("refresh", func(facts map[string]any) (err error) {
		now, err = c.refresh(ctx, first, spent)
		facts["rotated"] = now != spent
		return err
	})
	step("lost answer, again", func(map[string]any) error {
		gone := &losing{}
		if _, err := c.present(context.WithValue(ctx, oauth2.HTTPClient, &http.Client{Transport: gone}), now); !errors.Is(err, errGone) {
			return fmt.Errorf("the answer was not lost: %w", err)
		}
		again, err := c.refresh(ctx, first, now)
		if err != nil {
			return err
		}
		// An answer without a refresh token leaves the one that was presented.
		if !bytes.Contains(gone.answer, []byte(again)) && again != now {
			return fmt.Errorf("another answer than the one that was lost")
		}
		now, err = c.refresh(ctx, first, again)
		return err
	})

	last := first
	if now != spent {
		// After several rotations within 30 seconds a spent token may be a late worker's: 503 first, and then the end of the grant.
		step("replay", func(facts map[string]any) (err error) {
			if facts["again"], err = c.refused(ctx, spent); err != nil {
				return err
			}
			if times, err := c.refused(ctx, now); err != nil || times > 0 {
				return fmt.Errorf("the live token after a replay: again %d, %w", times, err)
			}
			var pages []string
			last, pages, err = c.login(ctx)
			return errors.Join(err, check(slices.Equal(pages, []string{"consent"}), "other pages: %v", pages))
		})
	}
	step("revoke", func(map[string]any) error {
		// Neither library revokes: RFC 7009 by hand.
		form := url.Values{"token": {last.token.RefreshToken}, "token_type_hint": {"refresh_token"}}
		if secret == "" {
			form.Set("client_id", id)
		}
		request, err := http.NewRequest(http.MethodPost, c.further.Revocation, bytes.NewBufferString(form.Encode()))
		if err != nil {
			return err
		}
		request.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		if secret != "" {
			request.SetBasicAuth(url.QueryEscape(id), url.QueryEscape(secret))
		}
		answer, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		defer answer.Body.Close()
		_, err = c.refused(ctx, last.token.RefreshToken)
		return errors.Join(check(answer.StatusCode == http.StatusOK, "%s", answer.Status), err)
	})
	step("logout", func(map[string]any) error {
		parameters := url.Values{"id_token_hint": {last.raw}, "post_logout_redirect_uri": {bye}, "state": {"a b"}}
		came, pages, err := c.browser.walk(c.further.EndSession+"?"+parameters.Encode(), bye)
		if err != nil {
			return err
		}
		if err := check(came.Query().Get("state") == "a b" && len(pages) == 0, "another answer: %s", came); err != nil {
			return err
		}
		_, pages, err = c.login(ctx)
		return errors.Join(err, check(len(pages) > 0 && pages[0] == "login", "still logged in"))
	})
}
