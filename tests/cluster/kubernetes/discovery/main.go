// Prometheus's own discovery in Kubernetes, for Debian's Prometheus, which was built without it: keeps a file of targets up to date,
// as `file_sd_configs` reads it.
//
//	prometheus-discovery ROLE NAMESPACE FILE
package main

import (
	"context"
	"encoding/json"
	"log/slog"
	"os"
	"os/signal"
	"syscall"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/discovery"
	"github.com/prometheus/prometheus/discovery/kubernetes"
	"github.com/prometheus/prometheus/discovery/targetgroup"
)

type entry struct {
	Targets []model.LabelValue `json:"targets"`
	Labels  model.LabelSet     `json:"labels"`
}

func main() {
	role, namespace, file := os.Args[1], os.Args[2], os.Args[3]
	config := &kubernetes.SDConfig{
		Role:               kubernetes.Role(role),
		KubeConfig:         os.Getenv("KUBECONFIG"),
		NamespaceDiscovery: kubernetes.NamespaceDiscovery{Names: []string{namespace}},
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	registry := prometheus.NewRegistry()
	metrics := config.NewDiscovererMetrics(registry, discovery.NewRefreshMetrics(registry))
	must(metrics.Register())
	looker, err := config.NewDiscoverer(discovery.DiscovererOptions{Logger: slog.Default(), Metrics: metrics})
	must(err)
	updates := make(chan []*targetgroup.Group)
	go looker.Run(ctx, updates)
	follow(ctx, updates, file)
}

func follow(ctx context.Context, updates <-chan []*targetgroup.Group, file string) {
	known := map[string]*targetgroup.Group{}
	for {
		select {
		case <-ctx.Done():
			return
		case groups := <-updates:
			for _, group := range groups {
				known[group.Source] = group
			}
			write(known, file)
		}
	}
}

func write(known map[string]*targetgroup.Group, file string) {
	entries := []entry{}
	for _, group := range known {
		for _, target := range group.Targets {
			labels := group.Labels.Merge(target)
			delete(labels, model.AddressLabel)
			entries = append(entries, entry{[]model.LabelValue{target[model.AddressLabel]}, labels})
		}
	}
	text, err := json.Marshal(entries)
	must(err)
	must(os.WriteFile(file+".new", text, 0o644))
	must(os.Rename(file+".new", file))
}

func must(err error) {
	if err != nil {
		slog.Error("prometheus-discovery", "problem", err)
		os.Exit(1)
	}
}
