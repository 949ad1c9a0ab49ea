package lambdaenv_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/aws/aws-lambda-go/lambda"
	"github.com/aws/aws-lambda-go/lambdacontext"

	"github.com/owt-signal/owt-signal/internal/extension"
)

// order is the payload: what to do, in the order of the fields.
type order struct {
	Log   string   // print this
	Gate  string   // get this URL and wait for the answer
	Env   []string // answer with these variables
	Large int      // answer with this many bytes
	Child bool     // start a process that outlives this one
	Fault string   // "error", "panic", "exit", "exit0" or "hang"

	AfterGate  string // the same as Gate, after the response, and print "after: " and how it went
	AfterFault string // "panic", or "hang" without heeding the context
}

// report is the answer.
type report struct {
	PID       int
	RequestID string
	ARN       string
	Deadline  time.Time
	Trace     string
	Env       map[string]string
	Large     string
}

type unhappy struct{ error }

// runProbe is a Lambda function that does as it is told.
func runProbe() {
	switch os.Getenv("PROBE_INIT") {
	case "exit":
		fmt.Println("cannot start")
		os.Exit(3)
	case "hang":
		time.Sleep(time.Hour)
	case "report":
		reportInitError()
		os.Exit(1)
	}
	if os.Getenv("PROBE_PLAIN") != "" {
		lambda.Start(func(ctx context.Context, o order) (report, error) { return handle(ctx, o, nil) })
	}
	ext, err := extension.Register(context.Background(), os.Getenv("AWS_LAMBDA_RUNTIME_API"), "probe")
	if err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
	handler := func(ctx context.Context, o order) (report, error) { return handle(ctx, o, ext) }
	if os.Getenv("PROBE_SIGTERM") == "" {
		ext.Start(handler)
	}
	go ext.Run(context.Background())
	lambda.StartWithOptions(ext.Wrap(lambda.NewHandler(handler)), lambda.WithEnableSIGTERM(func() {
		fmt.Println("got SIGTERM")
		if os.Getenv("PROBE_SIGTERM") == "exit" {
			os.Exit(0)
		}
	}))
}

func reportInitError() {
	url := "http://" + os.Getenv("AWS_LAMBDA_RUNTIME_API") + "/2018-06-01/runtime/init/error"
	body := strings.NewReader(`{"errorMessage":"no configuration","errorType":"Probe.Config"}`)
	answer, err := http.Post(url, "application/json", body)
	if err != nil {
		fmt.Println(err)
		return
	}
	answer.Body.Close()
}

func handle(ctx context.Context, o order, ext *extension.Extension) (report, error) {
	if o.AfterGate != "" {
		ext.Go(func(ctx context.Context) { fmt.Println("after:", pass(ctx, o.AfterGate)) })
	}
	if o.AfterFault != "" {
		ext.Go(func(context.Context) { fail(o.AfterFault) })
	}
	if o.Log != "" {
		fmt.Print(o.Log)
	}
	if o.Gate != "" {
		if err := pass(ctx, o.Gate); err != nil {
			return report{}, err
		}
	}
	if o.Child {
		child := exec.Command("sleep", "60")
		child.Stdout = os.Stdout
		if err := child.Start(); err != nil {
			return report{}, err
		}
	}
	if o.Fault != "" {
		if err := fail(o.Fault); err != nil {
			return report{}, err
		}
	}
	lc, _ := lambdacontext.FromContext(ctx)
	deadline, _ := ctx.Deadline()
	r := report{
		PID: os.Getpid(), RequestID: lc.AwsRequestID, ARN: lc.InvokedFunctionArn, Deadline: deadline,
		Trace: os.Getenv("_X_AMZN_TRACE_ID"), Env: map[string]string{}, Large: strings.Repeat("x", o.Large),
	}
	for _, name := range o.Env {
		if value, ok := os.LookupEnv(name); ok {
			r.Env[name] = value
		}
	}
	return r, nil
}

func fail(how string) error {
	switch how {
	case "error":
		return unhappy{errors.New("not today")}
	case "panic":
		panic("oh no")
	case "exit":
		os.Exit(1)
	case "exit0":
		os.Exit(0)
	case "hang":
		time.Sleep(time.Hour)
	}
	return nil
}

func pass(ctx context.Context, gate string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, gate, nil)
	if err != nil {
		return err
	}
	answer, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	return answer.Body.Close()
}
