package client_test

import (
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dncd/dncd/client"
)

func Example() {
	addr, stop := exampleServer() // a dncd: in production its address, such as "127.0.0.1:7362"
	defer stop()
	ctx, cancel := soon()
	defer cancel()

	c, err := client.New(addr, client.WithScope("acme/telecom"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	// A person says stop: from now on nobody at acme may call.
	_, err = c.RecordOptOut(ctx, client.OptOut{Number: "+14155550123", Scope: "acme", Channel: client.ChannelCall, Desk: "after-sales"})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, number := range []string{"+1 415 555 0123", "+14155550100"} {
		r, err := c.Check(ctx, number)
		if err != nil || !r.Callable() {
			fmt.Println(r.Number, r.Verdict, r.Reasons[0].Kind, err)
			continue // do not dial
		}
		fmt.Println(r.Number, "may be called")
	}
	// Output:
	// +14155550123 BLOCK OPT_OUT <nil>
	// +14155550100 may be called
}

func ExampleClient_CheckAll() {
	addr, stop := exampleServer()
	defer stop()
	ctx, cancel := soon()
	defer cancel()
	c, err := client.New(addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	leads := slices.Values([]string{"+14155550100", "not a number", "01 99 00 12 34"})
	for r, err := range c.CheckAll(ctx, leads, client.Region("FR")) {
		switch {
		case errors.Is(err, client.ErrInvalidNumber):
			fmt.Println("skipped:", errors.Is(err, client.ErrNumberSyntax))
		case err != nil:
			fmt.Println("the rest was not checked:", err)
		case r.Callable():
			fmt.Println(r.Number)
		}
	}
	// Output:
	// +14155550100
	// skipped: true
	// +33199001234
}

func ExampleClient_Import() {
	addr, stop := exampleServer()
	defer stop()
	ctx, cancel := soon()
	defer cancel()
	c, err := client.New(addr, client.WithUser("nightly"))
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	_, err = c.CreateList(ctx, client.ListSpec{
		Name: "us-ftc", Kind: client.KindRegistry, Jurisdiction: []string{"US"}, Coverage: []string{"1415"}, MaxAge: 31 * 24 * time.Hour,
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	result, err := c.Import(ctx, client.ImportRequest{
		List:         "us-ftc",
		SnapshotDate: time.Now().UTC().Format(time.DateOnly), // the registry's own date
		Numbers:      client.Numbers(slices.Values([]string{"+14155550100", "+14155550101"})),
	})
	if err != nil {
		fmt.Println(err)
		return
	}
	if result.Refused {
		fmt.Println("refused:", result.GuardFailures)
		return
	}
	fmt.Println(result.Read, "=", result.Accepted, "+", result.Duplicates, "+", result.Rejected)
	for _, number := range []string{"+14155550100", "+14155550199", "+18185550100"} {
		r, err := c.Check(ctx, number)
		fmt.Println(r.Verdict, r.Cause, err)
	}
	// Output:
	// 2 = 2 + 0 + 0
	// BLOCK  <nil>
	// ALLOW  <nil>
	// UNKNOWN NOT_COVERED <nil>
}

func ExampleClient_Check_readYourWrites() {
	addr, stop := exampleServer()
	defer stop()
	ctx, cancel := soon()
	defer cancel()
	c, err := client.New(addr)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer c.Close()

	receipt, err := c.RecordOptOut(ctx, client.OptOut{Number: "+14155550123"})
	if err != nil {
		fmt.Println(err)
		return
	}
	// Wherever this is answered, the opt-out is known there.
	r, err := c.Check(ctx, "+14155550123", client.AtLeast(receipt.Position))
	fmt.Println(r.Verdict, err)
	// Output: BLOCK <nil>
}
