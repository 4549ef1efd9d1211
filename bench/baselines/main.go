// Baseline for cached GETs: the API's cache behind Go's net/http, with a bounded LRU of encoded bytes, ETag,
// If-None-Match, X-Cache and a counter for each status. It uses the standard library only.
//
//	main DOCUMENTS PORT
package main

import (
	"bufio"
	"container/list"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"log"
	"net/http"
	"os"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
)

const (
	prefix         = "/orders/"
	maxLineBytes   = 2 << 20
	digestBytes    = 16
	maxStatus      = 599
	maxCachedBytes = 1 << 30
)

type entry struct {
	uid  string
	body []byte
	etag string
}

type lru struct {
	mutex      sync.Mutex
	order      *list.List // the most recently used one is in front
	entries    map[string]*list.Element
	bytes      int
	maxEntries int
}

func newLRU(maxEntries int) *lru {
	return &lru{order: list.New(), entries: make(map[string]*list.Element, maxEntries), maxEntries: maxEntries}
}

func (cache *lru) get(uid string) (*entry, bool) {
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	element, found := cache.entries[uid]
	if !found {
		return nil, false
	}
	cache.order.MoveToFront(element)
	return element.Value.(*entry), true
}

func (cache *lru) put(uid string, body []byte) {
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	if element, found := cache.entries[uid]; found {
		cache.remove(element)
	}
	cache.entries[uid] = cache.order.PushFront(&entry{uid, body, etagOf(body)})
	cache.bytes += len(body)
	for cache.order.Len() > cache.maxEntries || cache.bytes > maxCachedBytes {
		cache.remove(cache.order.Back())
	}
}

func (cache *lru) remove(element *list.Element) {
	old := cache.order.Remove(element).(*entry)
	delete(cache.entries, old.uid)
	cache.bytes -= len(old.body)
}

func etagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:digestBytes]) + `"`
}

type handler struct {
	cache    *lru
	statuses [maxStatus + 1]atomic.Uint64
}

func (handler *handler) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	status := handler.respond(writer, request)
	handler.statuses[status].Add(1)
}

func (handler *handler) respond(writer http.ResponseWriter, request *http.Request) int {
	uid, found := strings.CutPrefix(request.URL.Path, prefix)
	if !found {
		return fail(writer, http.StatusNotFound)
	}
	order, found := handler.cache.get(uid)
	if !found {
		return fail(writer, http.StatusNotFound)
	}
	header := writer.Header()
	header.Set("Etag", order.etag)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("X-Cache", "hit")
	if etags := request.Header.Get("If-None-Match"); etags != "" && strings.Contains(etags, order.etag) {
		writer.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(order.body)))
	writer.Write(order.body)
	return http.StatusOK
}

func fail(writer http.ResponseWriter, status int) int {
	http.Error(writer, http.StatusText(status), status)
	return status
}

func read(path string) ([][]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	var documents [][]byte
	lines := bufio.NewScanner(file)
	lines.Buffer(nil, maxLineBytes)
	for lines.Scan() {
		documents = append(documents, append([]byte(nil), lines.Bytes()...))
	}
	return documents, lines.Err()
}

func fill(cache *lru, documents [][]byte) error {
	for _, document := range documents {
		var order struct {
			UID string `json:"order_uid"`
		}
		if err := json.Unmarshal(document, &order); err != nil {
			return err
		}
		cache.put(order.UID, document)
	}
	return nil
}

func main() {
	if len(os.Args) != 3 {
		log.Fatal("usage: main DOCUMENTS PORT")
	}
	documents, err := read(os.Args[1])
	if err != nil {
		log.Fatal(err)
	}
	handler := &handler{cache: newLRU(len(documents))}
	if err := fill(handler.cache, documents); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%s", os.Args[2]), handler))
}
