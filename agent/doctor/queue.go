package doctor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"

	"github.com/sallyport-agent/sallyport/agent/ecc"
	"github.com/sallyport-agent/sallyport/agent/fault"
	"github.com/sallyport-agent/sallyport/agent/servicenow"
)

const (
	eccQueue   = "ecc_queue"
	probeTopic = "Sallyport"
	giveRole   = "give the agent's user the role mid_server, or a role of your own with read and create on ecc_queue"
)

func (p *patient) read(ctx context.Context) Answer {
	p.rights = p.in.CheckQueue(ctx, p.o.Agent, !p.o.NoWrite)
	if p.rights.Read != nil {
		return failed(p.rights.Read, giveRole)
	}
	return ok("outputs for %s can be read", p.o.Agent)
}

// insert tells what read tried, unless that could not come so far.
func (p *patient) insert(context.Context) Answer {
	r := p.rights
	switch {
	case p.o.NoWrite:
		return skip("nothing is written with --no-write")
	case errors.Is(r.Insert, servicenow.ErrNotTried):
		return skip("it was not tried")
	case r.Insert != nil:
		return failed(r.Insert, giveRole)
	case r.Left != "":
		return ok("inputs can be inserted; the probe %s stays, because deleting is not allowed", r.Left)
	default:
		return ok("inputs can be inserted")
	}
}

// claim tries how work can be claimed, on an output that nobody takes.
func (p *patient) claim(ctx context.Context) Answer {
	nobody := "sallyport.doctor." + strings.ToLower(rand.Text())
	rec, err := p.in.Insert(ctx, eccQueue, servicenow.Record{
		"agent": nobody, "topic": probeTopic, "name": "doctor", "queue": "output", "state": "ready",
	})
	id := rec["sys_id"]
	if err == nil && id == "" {
		err = fault.New(fault.Unavailable, "insert", eccQueue, errors.New("the answer has no sys_id"))
	}
	if err != nil {
		a := failed(err, "")
		return Answer{Warn, "it could not be tried without the right to insert outputs: " + a.Why, "watch the first job: `sallyport status` tells when a claim does not take"}
	}
	inserted := p.claimByInsert(ctx, nobody, id)
	var updated error
	if inserted != nil {
		updated = p.claimByUpdate(ctx, id)
	}
	left := p.end(context.WithoutCancel(ctx), nobody, id)
	a := p.judge(inserted, updated)
	if left != "" {
		a.Why += "; the probe " + id + " stays " + left
	}
	return a
}

func (p *patient) judge(inserted, updated error) Answer {
	const free = "let the instance's business rules for queue.processing run for the agent's user, or let the user write ecc_queue"
	switch {
	case inserted == nil && p.o.Claim == "update":
		return Answer{Warn, "claiming by insert works, but the configuration says update", "set claim = \"auto\" for the instance"}
	case inserted == nil:
		return ok("work is claimed by inserting queue.processing")
	case updated != nil:
		return Answer{Fail, "neither way to claim works: by insert: " + inserted.Error() + "; by update: " + updated.Error(), free}
	case p.o.Claim == "insert":
		return Answer{Fail, "claiming by insert does not work, and the configuration asks for it: " + inserted.Error(), "set claim = \"auto\" for the instance"}
	default:
		return ok("work is claimed by updating outputs, for claiming by insert does not work: %s", inserted)
	}
}

func (p *patient) claimByInsert(ctx context.Context, agent, id string) error {
	rec, err := p.in.Insert(ctx, eccQueue, servicenow.Record{
		"agent": agent, "topic": ecc.TopicProcessing, "name": ecc.TopicProcessing, "queue": "input", "state": "ready",
		"payload": ecc.ProcessingClaim([]string{id}, "processing"),
	})
	if err != nil {
		return err
	}
	state, err := p.state(ctx, id)
	if input := rec["sys_id"]; input != "" {
		_ = p.in.Delete(context.WithoutCancel(ctx), eccQueue, input) // it has done its work, and the table is rotated
	}
	if err == nil && state != "processing" {
		err = fmt.Errorf("the output is %q afterwards", state)
	}
	return err
}

func (p *patient) claimByUpdate(ctx context.Context, id string) error {
	if _, err := p.in.Update(ctx, eccQueue, id, servicenow.Record{"state": "processing"}); err != nil {
		return err
	}
	state, err := p.state(ctx, id)
	if err == nil && state != "processing" {
		err = fmt.Errorf("the output is %q afterwards", state)
	}
	return err
}

func (p *patient) state(ctx context.Context, id string) (string, error) {
	rec, err := p.in.Get(ctx, eccQueue, id, "state")
	return rec["state"], err
}

// end deletes the probe. Where that is not allowed it is answered as an agent
// answers work, which makes it processed on the instance; where that does not
// take, it is set so. It returns how the probe stays, "" when it is gone.
func (p *patient) end(ctx context.Context, agent, id string) string {
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	if p.in.Delete(ctx, eccQueue, id) == nil {
		return ""
	}
	_, err := p.in.Insert(ctx, eccQueue, servicenow.Record{
		"agent": agent, "topic": probeTopic, "name": "doctor", "queue": "input", "state": "processed", "response_to": id,
		"payload": `<results><parameters><parameter name="skip_sensor" value="true"/></parameters></results>`,
	})
	state, read := p.state(ctx, id)
	if err == nil && read == nil && state == "processed" {
		return "as processed, because deleting is not allowed"
	}
	if _, err = p.in.Update(ctx, eccQueue, id, servicenow.Record{"state": "processed"}); err == nil {
		return "as processed, because deleting is not allowed"
	}
	return "in state " + state + " for an agent that does not exist; delete it by hand"
}

// duplicate looks for another agent of this name among those that the instance
// knows.
func (p *patient) duplicate(ctx context.Context) Answer {
	name := strings.TrimPrefix(p.o.Agent, "mid.server.")
	page, err := p.in.List(ctx, "ecc_agent", servicenow.Query{
		Where: []servicenow.Condition{servicenow.Eq("name", name)}, Fields: []string{"name", "status", "host_name"}, Limit: 5,
	})
	if err != nil {
		return skip("the list of agents cannot be read: " + err.Error())
	}
	const remedy = "give one of the two another name; both would take the same work"
	up := 0
	var hosts []string
	for _, r := range page.Records {
		if strings.EqualFold(r["status"], "up") {
			up++
			hosts = append(hosts, r["host_name"])
		}
	}
	own := p.o.Mode == "mid" && p.o.Running
	switch {
	case up == 0:
		return ok("no other agent named %s is up", name)
	case own && up == 1:
		return ok("%s is up on %s, which is this agent if that is this machine", name, hosts[0])
	default:
		return Answer{Fail, fmt.Sprintf("an agent named %s is up on %s", name, strings.Join(hosts, ", ")), remedy}
	}
}
