package costs

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// TableNames are the names of the tables that there are.
var TableNames = []string{"metered", "priced", "month", "elsewhere"}

// Table is one of them, in Markdown.
func (u Usage) Table(name string) (string, error) {
	var t table
	switch name {
	case "metered":
		t = u.metered()
	case "priced":
		t = u.priced()
	case "month":
		t = u.month()
	case "elsewhere":
		t = u.elsewhere()
	default:
		return "", fmt.Errorf("no table %q: there are %s", name, strings.Join(TableNames, ", "))
	}
	return t.String(), nil
}

// thing is something that happens, and how many of it make a row.
type thing struct {
	name  string
	work  Work
	times float64
}

func (u Usage) things() []thing {
	client := Clients[u.Client].Name
	return []thing{
		{"message, alone", u.Message(1), million},
		{fmt.Sprintf("message, one of %d at once", u.Burst), u.Message(u.Burst), million},
		{fmt.Sprintf("call of %v signals", u.Signals), u.Call(), 10_000},
		{"connection, " + client, u.Connection(), 100_000},
		{"connected hour, silent", u.Hour(), 100_000},
		{"month of a user who is always connected, and silent", u.Idle(), 1000},
	}
}

// metered is what AWS meters of one of each.
func (u Usage) metered() table {
	t := table{{"for one", "messages", "minutes", "invocations", "busy", "write units", "read units", "log"}}
	for _, s := range u.things() {
		w := s.work
		t = append(t, []string{
			s.name, number(w.Messages), number(w.Minutes), number(w.Invocations), number(float64(w.Busy.Milliseconds())) + " ms",
			number(w.Writes), number(w.Reads), number(w.Logged) + " B",
		})
	}
	return t
}

// priced is dollars, for so many that they can be read.
func (u Usage) priced() table {
	t := table{append([]string{"in dollars", "times"}, services...)}
	for _, s := range u.things() {
		t = append(t, append([]string{s.name, thousands(s.times)}, dollars(s.work.Times(s.times).Bill(u.MemoryMB))...))
	}
	return t
}

// month is dollars for all users, by what they do.
func (u Usage) month() table {
	t := table{append([]string{fmt.Sprintf("in dollars, %s users in a month", thousands(u.Users))}, append(services, "share")...)}
	var all Work
	for _, a := range u.Activities() {
		all = all.Plus(a.Work)
	}
	total := all.Bill(u.MemoryMB).Total()
	row := func(name string, w Work) {
		b := w.Bill(u.MemoryMB)
		t = append(t, append([]string{name}, append(dollars(b), percent(b.Total(), total))...))
	}
	for _, a := range u.Activities() {
		row(a.Name, a.Work)
	}
	row("together", all)
	return t
}

// elsewhere is dollars, here and with what AWS has instead.
func (u Usage) elsewhere() table {
	t := table{{"in dollars", fmt.Sprintf("10,000 calls of %v signals", u.Signals), fmt.Sprintf("%s users in a month", thousands(u.Users)), "of it without any call"}}
	for _, a := range u.Alternatives() {
		t = append(t, []string{a.Name, dollar(10_000 * a.Call), dollar(a.Month), dollar(a.Idle)})
	}
	return t
}

var services = []string{"API Gateway", "Lambda", "DynamoDB", "CloudWatch", "transfer", "together"}

func dollars(b Bill) []string {
	return []string{dollar(b.Gateway), dollar(b.Lambda), dollar(b.DynamoDB), dollar(b.CloudWatch), dollar(b.Transfer), dollar(b.Total())}
}

// dollar is an amount in whole cents, thousands of dollars in whole dollars.
func dollar(d float64) string {
	if d >= 1000 {
		return thousands(math.Round(d))
	}
	return strconv.FormatFloat(d, 'f', 2, 64)
}

func percent(part, all float64) string {
	if all == 0 {
		return "0 %"
	}
	return fmt.Sprintf("%.0f %%", 100*part/all)
}

// number is one with two digits or more.
func number(n float64) string {
	switch {
	case n >= 10 || n == math.Trunc(n):
		return thousands(math.Round(n))
	default:
		return strconv.FormatFloat(n, 'g', 2, 64)
	}
}

// thousands is a whole number with separators.
func thousands(n float64) string {
	s := strconv.FormatFloat(n, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// table is rows of cells, the first being the head.
type table [][]string

// String is the table in Markdown.
func (t table) String() string {
	var b strings.Builder
	for i, row := range t {
		b.WriteString("| " + strings.Join(row, " | ") + " |\n")
		if i == 0 {
			b.WriteString("|" + strings.Repeat("---|", len(row)) + "\n")
		}
	}
	return b.String()
}
