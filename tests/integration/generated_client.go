// Uses a client of OpenAPI Generator: test_openapi_generator.py compiles it and runs it. Prints the answers as JSON.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"

	orders "client/openapi"
)

func main() {
	url, key, uid := os.Args[1], os.Args[2], os.Args[3]
	configuration := orders.NewConfiguration()
	configuration.Servers = orders.ServerConfigurations{{URL: url}}
	client := orders.NewAPIClient(configuration)
	anonymous := context.Background()
	ctx := context.WithValue(anonymous, orders.ContextAccessToken, key)

	order, _, err := client.OrdersAPI.GetOrder(ctx, uid).Execute()
	check(err)
	first, _, err := client.OrdersAPI.ListOrders(ctx).Limit(2).Execute()
	check(err)
	last, _, err := client.OrdersAPI.ListOrders(ctx).Limit(2).Cursor(first.GetNextCursor()).Execute()
	check(err)
	listed := append(first.Orders, last.Orders...)
	uids := []string{}
	for _, each := range listed {
		uids = append(uids, each.OrderUid)
	}
	request := orders.NewReplayDeadLetters()
	request.SetDeadLetters([]orders.DeadLetterReference{*orders.NewDeadLetterReference(0, 1<<40)})
	request.SetDryRun(true)
	replay, _, err := client.DeadLettersAPI.ReplayDeadLetters(ctx).ReplayDeadLetters(*request).Execute()
	check(err)
	_, _, missing := client.OrdersAPI.GetOrder(ctx, "missing").Execute()
	_, _, denied := client.OrdersAPI.GetOrder(anonymous, uid).Execute()

	check(json.NewEncoder(os.Stdout).Encode(map[string]any{
		"order_uid":    order.OrderUid,
		"amount":       order.Payment.Amount,
		"date_created": order.DateCreated.Unix(),
		"stored_at":    listed[2].StoredAt.Unix(),
		"listed":       uids,
		"has_cursor":   last.NextCursor.Get() != nil,
		"replay":       map[string]any{"dry_run": replay.DryRun, "refusal": replay.DeadLetters[0].GetRefusal()},
		"problems":     []any{problem(missing).Type, problem(denied).Status},
	}))
}

func problem(err error) orders.ProblemDetails {
	var failed *orders.GenericOpenAPIError
	if !errors.As(err, &failed) {
		panic("no problem")
	}
	return failed.Model().(orders.ProblemDetails)
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
