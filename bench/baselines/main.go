// The same cache behind Go's net/http: a bounded LRU of encoded bytes, ETag, If-None-Match, X-Cache, a counter of each status.
//
//	main DOCUMENTS PORT
//
// The standard library only. GET /orders/{order_uid} answers from memory; what is not there is a 404.
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
	longestLine    = 2 << 20
	tagBytes       = 16
	highestStatus  = 599
	maxCachedBytes = 1 << 30
)

type entry struct {
	uid  string
	body []byte
	tag  string
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
	element, held := cache.entries[uid]
	if !held {
		return nil, false
	}
	cache.order.MoveToFront(element)
	return element.Value.(*entry), true
}

func (cache *lru) put(uid string, body []byte) {
	cache.mutex.Lock()
	defer cache.mutex.Unlock()
	if element, held := cache.entries[uid]; held {
		cache.remove(element)
	}
	cache.entries[uid] = cache.order.PushFront(&entry{uid, body, tagOf(body)})
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

func tagOf(body []byte) string {
	sum := sha256.Sum256(body)
	return `"` + hex.EncodeToString(sum[:tagBytes]) + `"`
}

type orders struct {
	cache    *lru
	statuses [highestStatus + 1]atomic.Uint64
}

func (served *orders) ServeHTTP(writer http.ResponseWriter, request *http.Request) {
	status := served.answer(writer, request)
	served.statuses[status].Add(1)
}

func (served *orders) answer(writer http.ResponseWriter, request *http.Request) int {
	uid, found := strings.CutPrefix(request.URL.Path, prefix)
	if !found {
		return refuse(writer, http.StatusNotFound)
	}
	held, found := served.cache.get(uid)
	if !found {
		return refuse(writer, http.StatusNotFound)
	}
	header := writer.Header()
	header.Set("Etag", held.tag)
	header.Set("Cache-Control", "private, no-cache")
	header.Set("X-Cache", "hit")
	if asked := request.Header.Get("If-None-Match"); asked != "" && strings.Contains(asked, held.tag) {
		writer.WriteHeader(http.StatusNotModified)
		return http.StatusNotModified
	}
	header.Set("Content-Type", "application/json")
	header.Set("Content-Length", strconv.Itoa(len(held.body)))
	writer.Write(held.body)
	return http.StatusOK
}

func refuse(writer http.ResponseWriter, status int) int {
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
	lines.Buffer(nil, longestLine)
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
	served := &orders{cache: newLRU(len(documents))}
	if err := fill(served.cache, documents); err != nil {
		log.Fatal(err)
	}
	log.Fatal(http.ListenAndServe(fmt.Sprintf("127.0.0.1:%s", os.Args[2]), served))
}
