// The webhook route in Go: net/http and amqp091-go. Signature checked over the raw body, message id from content, persistent
// and mandatory publish, 202 only after the broker's confirm and only if the message was not returned.
package main

import (
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	amqp "github.com/rabbitmq/amqp091-go"
)

const (
	maxBody    = 1 << 20
	tolerance  = 24 * time.Hour // as NEFF_WEBHOOK_TOLERANCE_S in the benchmark
	futureSkew = time.Minute
)

// publisher spreads publishes over channels of one connection: each channel has its own lock and its own confirms.
type publisher struct {
	channels []*amqp.Channel
	returned sync.Map // message id -> struct{}
}

func newPublisher(url string, count int) (*publisher, error) {
	connection, err := amqp.Dial(url)
	if err != nil {
		return nil, err
	}
	p := &publisher{}
	for i := 0; i < count; i++ {
		channel, err := connection.Channel()
		if err != nil {
			return nil, err
		}
		if err := channel.Confirm(false); err != nil {
			return nil, err
		}
		// A return comes before its confirm, and the library hands it over before it reads on.
		returns := channel.NotifyReturn(make(chan amqp.Return))
		go func() {
			for r := range returns {
				p.returned.Store(r.MessageId, struct{}{})
			}
		}()
		p.channels = append(p.channels, channel)
	}
	return p, nil
}

func (p *publisher) publish(ctx context.Context, key string, message amqp.Publishing) error {
	channel := p.channels[int(message.MessageId[0])%len(p.channels)]
	confirmation, err := channel.PublishWithDeferredConfirmWithContext(ctx, "inbound", key, true, false, message)
	if err != nil {
		return err
	}
	if !confirmation.Wait() {
		return fmt.Errorf("refused by the broker")
	}
	if _, wasReturned := p.returned.LoadAndDelete(message.MessageId); wasReturned {
		return fmt.Errorf("returned as unroutable")
	}
	return nil
}

// isSigned judges a header of the form t=<seconds>,v1=<hex>.
func isSigned(header string, body, key []byte, now time.Time) bool {
	var at string
	var candidates [][]byte
	for _, part := range strings.Split(header, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		switch name {
		case "t":
			at = value
		case "v1":
			if mac, err := hex.DecodeString(value); err == nil {
				candidates = append(candidates, mac)
			}
		}
	}
	seconds, err := strconv.ParseInt(at, 10, 64)
	if err != nil {
		return false
	}
	mac := hmac.New(sha256.New, key)
	mac.Write([]byte(at))
	mac.Write([]byte{'.'})
	mac.Write(body)
	expected := mac.Sum(nil)
	isGenuine := false
	for _, candidate := range candidates {
		isGenuine = hmac.Equal(expected, candidate) || isGenuine
	}
	age := now.Sub(time.Unix(seconds, 0))
	return isGenuine && age <= tolerance && age >= -futureSkew
}

// messageID is the same for every delivery of the same fact.
func messageID(parts ...string) string {
	digest := sha256.New()
	for _, part := range parts {
		fmt.Fprintf(digest, "%d:%s", len(part), part)
	}
	return hex.EncodeToString(digest.Sum(nil)[:16])
}

func main() {
	p, err := newPublisher(os.Getenv("AMQP_URL"), 4)
	if err != nil {
		log.Fatal(err)
	}
	key := []byte(os.Getenv("CALENDLY_WEBHOOK_SIGNING_KEY"))
	mux := http.NewServeMux()
	mux.HandleFunc("/readyz", func(http.ResponseWriter, *http.Request) {})
	mux.HandleFunc("/webhooks/calendly", func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			http.Error(w, "too large", http.StatusRequestEntityTooLarge)
			return
		}
		now := time.Now()
		if !isSigned(r.Header.Get("Calendly-Webhook-Signature"), body, key, now) {
			http.Error(w, "not signed", http.StatusUnauthorized)
			return
		}
		var webhook struct {
			Event   string
			Payload struct{ URI string }
		}
		if json.Unmarshal(body, &webhook) != nil || webhook.Event == "" {
			http.Error(w, "not a webhook", http.StatusBadRequest)
			return
		}
		id := messageID("calendly", webhook.Event, webhook.Payload.URI)
		err = p.publish(r.Context(), "calendly."+webhook.Event, amqp.Publishing{
			MessageId: id, CorrelationId: id, Type: "calendly." + webhook.Event, AppId: "neff",
			ContentType: "application/json", DeliveryMode: amqp.Persistent, Timestamp: now,
			Headers: amqp.Table{
				"attempt": int64(0), "schema-version": int64(1), "signature": "valid",
				"received-at": now.UTC().Format("2006-01-02T15:04:05.000Z"),
			},
			Body: body,
		})
		if err != nil {
			w.Header().Set("Retry-After", "1")
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		w.WriteHeader(http.StatusAccepted)
	})
	server := &http.Server{
		Addr: os.Getenv("LISTEN"), Handler: mux, ReadHeaderTimeout: 10 * time.Second, ReadTimeout: 30 * time.Second,
		IdleTimeout: time.Minute,
	}
	log.Fatal(server.ListenAndServe())
}
