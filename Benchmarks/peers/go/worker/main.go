// The worker loop in Go: amqp091-go and pgx. Lanes side by side; each message has one transaction with its inbox row and its
// effect, and is acknowledged after the commit.
package main

import (
	"context"
	"fmt"
	"log"
	"os"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"github.com/jackc/pgx/v4"
	"github.com/jackc/pgx/v4/pgxpool"
	amqp "github.com/rabbitmq/amqp091-go"
)

func handle(ctx context.Context, pool *pgxpool.Pool, delivery amqp.Delivery) error {
	return pool.BeginFunc(ctx, func(tx pgx.Tx) error {
		claim, err := tx.Exec(ctx,
			"insert into inbox (consumer, message_id) values ('go', $1) on conflict on constraint inbox_once do nothing",
			delivery.MessageId)
		if err != nil || claim.RowsAffected() == 0 {
			return err
		}
		_, err = tx.Exec(ctx, "insert into effects (message_id, type, body) values ($1, $2, $3)",
			delivery.MessageId, delivery.Type, delivery.Body)
		return err
	})
}

func number(name string, fallback int) int {
	if value, err := strconv.Atoi(os.Getenv(name)); err == nil {
		return value
	}
	return fallback
}

func run(ctx context.Context) error {
	lanes := number("LANES", 16)
	configuration, err := pgxpool.ParseConfig(os.Getenv("DATABASE_URL"))
	if err != nil {
		return err
	}
	configuration.MaxConns = int32(lanes)
	pool, err := pgxpool.ConnectConfig(ctx, configuration)
	if err != nil {
		return err
	}
	defer pool.Close()
	connection, err := amqp.Dial(os.Getenv("AMQP_URL"))
	if err != nil {
		return err
	}
	defer connection.Close()
	channel, err := connection.Channel()
	if err != nil {
		return err
	}
	if err := channel.Qos(number("PREFETCH", 256), 0, false); err != nil {
		return err
	}
	deliveries, err := channel.Consume(os.Getenv("QUEUE"), "lanes", false, false, false, false, nil)
	if err != nil {
		return err
	}
	go func() {
		<-ctx.Done()
		channel.Cancel("lanes", false)
	}()
	var group sync.WaitGroup
	for i := 0; i < lanes; i++ {
		group.Add(1)
		go func() {
			defer group.Done()
			for delivery := range deliveries {
				// What is in hand is finished although the process has been told to stop.
				if err := handle(context.Background(), pool, delivery); err != nil {
					log.Print(err)
					delivery.Nack(false, true)
				} else if err := delivery.Ack(false); err != nil {
					log.Print(err)
				}
			}
		}()
	}
	group.Wait()
	if ctx.Err() == nil {
		return fmt.Errorf("the deliveries ended")
	}
	return nil
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, os.Interrupt)
	defer stop()
	if err := run(ctx); err != nil {
		log.Fatal(err)
	}
}
