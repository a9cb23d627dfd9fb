package event

import (
	"errors"
	"fmt"
	"log/slog"
	"text/template"
	"time"

	"github.com/prometheus/client_golang/prometheus"
)

// Config configures a Sink. The zero value of a field stands for its default,
// which its comment tells.
type Config struct {
	// NodeName is this node's name. It is the events' source host. It has no
	// default.
	NodeName string
	// Reason is the events' reason. Default "PacketDrop".
	Reason string
	// Component is the events' source component. Default "kube-nflog".
	Component string
	// DefaultPrefix is the NFLOG prefix that messages leave out.
	DefaultPrefix string
	// Message is a text/template for the message of an event. Its data is a
	// MessageData. "" stands for the built-in sentence, which aggregates always
	// have.
	Message string

	// QPS and Burst bound this node's calls to the API server, in calls per
	// second and calls. The Sink stays below them while the API server is
	// overloaded. Defaults 50 and 100.
	QPS   float64
	Burst int
	// PodQPS and PodBurst limit the writes about one pod. Defaults: 0.5 and 25.
	PodQPS   float64
	PodBurst int
	// ObjectsPerPod is the number of event objects that a pod may get in an hour, in
	// addition to its aggregates. Default 20.
	ObjectsPerPod int
	// MaxEntries bounds the event objects in memory, besides the aggregates, and
	// MaxPods the pods. Defaults 8192 and 2048.
	MaxEntries, MaxPods int
	// Writers is the number of goroutines that call the API server. Default 4.
	Writers int
	// CallTimeout is the deadline of each call. Default 10 s.
	CallTimeout time.Duration

	// If Namespaces is not empty, only pods of these namespaces get events. Pods of
	// ExcludeNamespaces get none.
	Namespaces, ExcludeNamespaces []string
	// NamespaceOnly hides from the readers of an event what lies in other
	// namespaces. It shows their pods and Services only by namespace and address, and
	// of the reason only the views of policy.Reason.
	NamespaceOnly bool
	// NodeEvents writes events on the Node for flows with no pod on either side.
	NodeEvents bool

	// Registerer registers the metrics; nil for none.
	Registerer prometheus.Registerer
	// Logger discards everything by default.
	Logger *slog.Logger
	// Now is time.Now by default. Its results must have a monotonic clock if the wall clock
	// may step.
	Now func() time.Time
}

const (
	maxReason    = 128 // bytes; the API server's limit on an event's reason
	maxComponent = 128 // bytes; longer ones are valid but do not print well
)

// withDefaults returns the configuration with its defaults filled in.
func (c Config) withDefaults() Config {
	setDefault(&c.Reason, "PacketDrop")
	setDefault(&c.Component, "kube-nflog")
	setDefault(&c.QPS, 50)
	setDefault(&c.Burst, 100)
	setDefault(&c.PodQPS, 0.5)
	setDefault(&c.PodBurst, 25)
	setDefault(&c.ObjectsPerPod, 20)
	setDefault(&c.MaxEntries, 8192)
	setDefault(&c.MaxPods, 2048)
	setDefault(&c.Writers, 4)
	setDefault(&c.CallTimeout, 10*time.Second)
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Now == nil {
		c.Now = time.Now
	}
	return c
}

func setDefault[T comparable](field *T, value T) {
	var zero T
	if *field == zero {
		*field = value
	}
}

// Validate reports all invalid fields at once, as New does.
func (c Config) Validate() error {
	_, err := c.withDefaults().validate()
	return err
}

// validate reports all invalid fields at once. It returns the parsed message
// template, nil for none.
func (c Config) validate() (*template.Template, error) {
	var errs []error
	positive := func(name string, ok bool) {
		if !ok {
			errs = append(errs, fmt.Errorf("%s must be positive", name))
		}
	}
	positive("QPS", c.QPS > 0)
	positive("Burst", c.Burst > 0)
	positive("PodQPS", c.PodQPS > 0)
	positive("PodBurst", c.PodBurst > 0)
	positive("ObjectsPerPod", c.ObjectsPerPod > 0)
	positive("MaxEntries", c.MaxEntries > 0)
	positive("MaxPods", c.MaxPods > 0)
	positive("Writers", c.Writers > 0)
	positive("CallTimeout", c.CallTimeout > 0)
	if len(c.Reason) > maxReason {
		errs = append(errs, fmt.Errorf("Reason is longer than %d bytes", maxReason))
	}
	if len(c.Component) > maxComponent {
		errs = append(errs, fmt.Errorf("Component is longer than %d bytes", maxComponent))
	}
	message, err := parseMessage(c.Message)
	if err != nil {
		errs = append(errs, fmt.Errorf("Message: %w", err))
	}
	return message, errors.Join(errs...)
}
