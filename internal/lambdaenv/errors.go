package lambdaenv

import (
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

var (
	// ErrThrottled says that as many environments as may be are at work; Lambda answers 429 TooManyRequestsException.
	ErrThrottled = errors.New("throttled: all environments are busy")
	// ErrClosed says that the function has been closed.
	ErrClosed = errors.New("the function is closed")
)

// Types of the errors that do not come from the function's own code. All but TypeInit are Lambda's.
const (
	TypeTimeout           = "Sandbox.Timedout"              // the invocation took longer than the timeout
	TypeExit              = "Runtime.ExitError"             // the process ended during the invocation
	TypeInvalidEntrypoint = "Runtime.InvalidEntrypoint"     // the process could not be started
	TypeResponseTooLarge  = "Function.ResponseSizeTooLarge" // the response was larger than MaxPayload
	TypeInit              = "Runtime.InitError"             // the process ended, or was not ready in time, before the first invocation
)

// FunctionError is an invocation that went wrong in the function: what Lambda answers with the header
// X-Amz-Function-Error.
type FunctionError struct {
	// Type is the errorType: one of the above, or what the function said, in Go the name of the error's type.
	Type string
	// Message is the errorMessage.
	Message string
	// Payload is the whole error as the caller on AWS gets it: a JSON object with errorType, errorMessage and, for a
	// panic, stackTrace. It is whatever the function posted if that was something else.
	Payload []byte
}

func (e *FunctionError) Error() string { return e.Type + ": " + e.Message }

// reportedError is what the function said went wrong. kind is the header Lambda-Runtime-Function-Error-Type, used if
// the body names no type.
func reportedError(kind string, body []byte) *FunctionError {
	var report struct {
		Type    string `json:"errorType"`
		Message string `json:"errorMessage"`
	}
	if err := json.Unmarshal(body, &report); err != nil {
		report.Message = string(body)
	}
	if report.Type == "" {
		report.Type = kind
	}
	return &FunctionError{Type: report.Type, Message: report.Message, Payload: body}
}

// platformError is what Lambda itself says went wrong.
func platformError(kind, message string) *FunctionError {
	// Encoding two strings cannot fail.
	payload, _ := json.Marshal(map[string]string{"errorType": kind, "errorMessage": message})
	return &FunctionError{Type: kind, Message: message, Payload: payload}
}

// requestError is a platformError in the words that name the request.
func requestError(kind, requestID, message string) *FunctionError {
	return platformError(kind, fmt.Sprintf("RequestId: %s Error: %s", requestID, message))
}

func timeoutMessage(timeout time.Duration) string {
	return fmt.Sprintf("Task timed out after %.2f seconds", timeout.Seconds())
}

// exitMessage says how a process ended; status is that of os.ProcessState, such as "exit status 1", empty for success.
func exitMessage(status string) string {
	if status == "" {
		return "Runtime exited without providing a reason"
	}
	return "Runtime exited with error: " + status
}
