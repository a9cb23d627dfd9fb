package event

import "time"

// quickCall is how long a call may always take and count as answered in time.
const quickCall = 50 * time.Millisecond

// usual is how long a call takes when the server is well, as far as is known.
// It follows longer calls slowly, and shorter ones more slowly still: what many
// calls take, to a far server or through a webhook, is no sign of a crowd.
type usual time.Duration

// quick says that a call took no longer than is usual, and learns from it.
func (u *usual) quick(took time.Duration) bool {
	quick := took <= 2*time.Duration(*u)
	u.learn(took)
	return quick
}

// learn takes a call into account.
func (u *usual) learn(took time.Duration) {
	*u = max(usual(quickCall/2), *u-*u/8, min(usual(took), *u+*u/4))
}
