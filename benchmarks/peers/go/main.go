// HTTP to Kafka in Go: net/http and franz-go, 202 after the ack of all in-sync replicas.
// go build -o peer . && KAFKA=host:port TOPIC=name PORT=8080 ./peer
package main

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"log"
	"math"
	"net/http"
	"os"
	"time"

	"github.com/twmb/franz-go/pkg/kgo"
)

const maxBody = 1 << 20

// event has the fields of the API, without its limits except for required fields.
type event struct {
	EventID    string             `json:"event_id"`
	Type       string             `json:"type"`
	SiteID     string             `json:"site_id"`
	SessionID  string             `json:"session_id"`
	VisitorID  *string            `json:"visitor_id"`
	UserID     *string            `json:"user_id"`
	URL        *string            `json:"url"`
	Path       *string            `json:"path"`
	Hostname   *string            `json:"hostname"`
	Title      *string            `json:"title"`
	Referrer   *string            `json:"referrer"`
	Language   *string            `json:"language"`
	UserAgent  *string            `json:"user_agent"`
	Timestamp  *time.Time         `json:"timestamp"`
	Duration   *float64           `json:"duration"`
	Screen     map[string]float64 `json:"screen"`
	UTM        map[string]string  `json:"utm"`
	AdClickIDs map[string]string  `json:"ad_click_ids"`
	Vitals     map[string]float64 `json:"vitals"`
	Properties json.RawMessage    `json:"properties"`
}

func (e *event) check() error {
	if e.Type == "" || e.SiteID == "" || e.SessionID == "" {
		return fmt.Errorf("missing one of type, site_id, session_id")
	}
	if e.EventID == "" {
		var id [16]byte
		if _, err := rand.Read(id[:]); err != nil {
			return err
		}
		id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
		e.EventID = fmt.Sprintf("%x-%x-%x-%x-%x", id[:4], id[4:6], id[6:8], id[8:10], id[10:])
	}
	return nil
}

// record returns the event in Avro's binary encoding, under a Confluent prefix.
func (e *event) record() *kgo.Record {
	to := make([]byte, 5, 512)
	to = text(to, e.EventID)
	to = binary.AppendVarint(to, time.Now().UnixMicro())
	to = text(text(text(to, e.Type), e.SiteID), e.SessionID)
	for _, field := range []*string{e.VisitorID, e.UserID, e.URL, e.Path, e.Hostname, e.Title,
		e.Referrer, e.Language, e.UserAgent} {
		to = optional(to, field != nil)
		if field != nil {
			to = text(to, *field)
		}
	}
	to = optional(to, e.Timestamp != nil)
	if e.Timestamp != nil {
		to = binary.AppendVarint(to, e.Timestamp.UnixMicro())
	}
	to = optional(to, e.Duration != nil)
	if e.Duration != nil {
		to = double(to, *e.Duration)
	}
	to = entries(entries(to, e.Screen, double), e.Vitals, double)
	to = entries(entries(to, e.UTM, text), e.AdClickIDs, text)
	to = text(to, string(e.Properties))
	return &kgo.Record{Key: []byte(e.SiteID + ":" + e.SessionID), Value: to}
}

func text(to []byte, value string) []byte {
	return append(binary.AppendVarint(to, int64(len(value))), value...)
}

func double(to []byte, value float64) []byte {
	return binary.LittleEndian.AppendUint64(to, math.Float64bits(value))
}

// optional writes the branch of a union of null and another type.
func optional(to []byte, is bool) []byte {
	if is {
		return append(to, 2)
	}
	return append(to, 0)
}

func entries[V any](to []byte, values map[string]V, put func([]byte, V) []byte) []byte {
	to = optional(to, values != nil)
	if values == nil {
		return to
	}
	if len(values) > 0 {
		to = binary.AppendVarint(to, int64(len(values)))
		for key, value := range values {
			to = put(text(to, key), value)
		}
	}
	return append(to, 0)
}

// handler accepts one event per request, or a list, and responds after the ack.
func handler(kafka *kgo.Client, many bool) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		events := make([]event, 1)
		if err == nil && many {
			err = json.Unmarshal(body, &events)
		} else if err == nil {
			err = json.Unmarshal(body, &events[0])
		}
		records := make([]*kgo.Record, len(events))
		for i := range events {
			if err == nil {
				err = events[i].check()
			}
			records[i] = events[i].record()
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		if err := kafka.ProduceSync(r.Context(), records...).FirstErr(); err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		answer(w, events, many)
	}
}

func answer(w http.ResponseWriter, events []event, many bool) {
	type result struct {
		Status  string `json:"status"`
		EventID string `json:"event_id"`
	}
	results := make([]result, len(events))
	for i := range events {
		results[i] = result{"accepted", events[i].EventID}
	}
	var response any = results[0]
	if many {
		response = map[string]any{"accepted": len(events), "results": results}
	}
	body, err := json.Marshal(response)
	if err != nil {
		http.Error(w, err.Error(), http.StatusInternalServerError)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.Header().Set("Content-Length", fmt.Sprint(len(body)))
	w.WriteHeader(http.StatusAccepted)
	_, _ = w.Write(body)
}

func main() {
	kafka, err := kgo.NewClient(
		kgo.SeedBrokers(os.Getenv("KAFKA")),
		kgo.DefaultProduceTopic(os.Getenv("TOPIC")),
		kgo.RequiredAcks(kgo.AllISRAcks()),
		kgo.ProducerBatchCompression(kgo.SnappyCompression()),
		kgo.ProducerLinger(0),
	)
	if err == nil {
		err = kafka.Ping(context.Background())
	}
	if err != nil {
		log.Fatal(err)
	}
	http.HandleFunc("POST /api/event", handler(kafka, false))
	http.HandleFunc("POST /api/events", handler(kafka, true))
	log.Fatal(http.ListenAndServe("127.0.0.1:"+os.Getenv("PORT"), nil))
}
