// Package emit has what all consumers of dropped flows share. Each consumer has
// a package of its own below it: events, JSON lines, metrics.
package emit
