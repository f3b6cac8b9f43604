package main

import (
	"context"
	"fmt"
	"io"

	"github.com/spf13/cobra"

	"github.com/sallyport-agent/sallyport/agent/control"
)

func (a *app) policyCommand() *cobra.Command {
	return group("policy", "Look at the rules on what may run", a.policyExplainCommand())
}

func (a *app) policyExplainCommand() *cobra.Command {
	c := &cobra.Command{
		Use: "explain JOB", Short: "Tell how the policy judges a job, rule by rule",
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.completeJobs,
	}
	return leaf(a, c, func(ctx context.Context, args []string) (control.Explanation, error) {
		client, err := a.dial(ctx)
		if err != nil {
			return control.Explanation{}, err
		}
		defer client.Close()
		return client.Explain(ctx, args[0])
	}, showExplanation)
}

func showExplanation(w io.Writer, e control.Explanation) error {
	verdict := "denied"
	switch {
	case e.Allow && e.Hold:
		verdict = "held for an approval"
	case e.Allow:
		verdict = "allowed"
	}
	var f facts
	f.add("job", e.Job)
	f.add("subject", e.Subject)
	f.add("verdict", verdict)
	f.add("rule", e.Rule)
	f.add("reason", e.Reason)
	f.add("effect", e.Effect)
	if err := f.write(w); err != nil {
		return err
	}
	if len(e.Steps) > 0 {
		t := table{head: []string{"RULE", "FITS", "WHY"}}
		for _, s := range e.Steps {
			fits := "no"
			if s.Matched {
				fits = "yes"
			}
			t.add(s.Rule, fits, s.Why)
		}
		if _, err := fmt.Fprintln(w); err != nil {
			return err
		}
		if err := t.write(w); err != nil {
			return err
		}
	}
	if e.Would == "" {
		return nil
	}
	_, err := fmt.Fprintf(w, "\nThis rule would allow it:\n\n%s\n", cleanLines(e.Would))
	return err
}
