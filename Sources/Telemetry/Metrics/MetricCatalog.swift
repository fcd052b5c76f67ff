/// Every metric that the programs of this package report. `docs` and dashboards are written from this table.
package enum MetricCatalog {
    package static let all: [MetricDescriptor] = worker + relay + clients + http + own

    static let worker: [MetricDescriptor] = [
        MetricDescriptor("worker.jobs", .counter, "Deliveries settled, by queue and outcome."),
        MetricDescriptor("worker.job.duration", .histogram, .seconds, "Time from taking a delivery to its settlement."),
        MetricDescriptor(
            "worker.critical_time", .histogram, .seconds, buckets: MetricDescriptor.journeyBuckets,
            "Time from the outside event's arrival to the end of a job that it caused."),
        MetricDescriptor(
            "worker.retries", .counter, "Failed attempts that go to a retry tier, by queue, tier and code."),
        MetricDescriptor("worker.dead_letters", .counter, "Messages given up, by queue, reason and code."),
        MetricDescriptor(
            "worker.batch.size", .histogram, buckets: MetricDescriptor.sizeBuckets, "Deliveries in one transaction."),
        MetricDescriptor("worker.batch.fallbacks", .counter, "Batches that were taken apart and run one by one."),
        MetricDescriptor(
            "worker.transaction.restarts", .counter, "Transactions run again in place, by SQLSTATE or cause."),
        MetricDescriptor("worker.in_flight", .gauge, "Deliveries taken and not yet settled."),
        MetricDescriptor("worker.queue.paused", .gauge, "1 while an operator has stopped the queue, else 0."),
        MetricDescriptor(
            "breaker.state", .gauge, "A circuit breaker, by dependency: 0 closed, 1 half-open, 2 open."),
        MetricDescriptor("breaker.transitions", .counter, "Changes of a breaker's state, by the new one."),
        MetricDescriptor("worker.suspects", .gauge, "Deliveries with crash evidence that wait for the single lane."),
    ]

    static let relay: [MetricDescriptor] = [
        MetricDescriptor("outbox.pending", .gauge, "Messages in the outbox that are due."),
        MetricDescriptor("outbox.lag", .gauge, .seconds, "Age of the oldest outbox message that is due."),
        MetricDescriptor("outbox.relayed", .counter, "Messages published from the outbox and confirmed."),
        MetricDescriptor("outbox.failures", .counter, "Publishes from the outbox that were not confirmed, by kind."),
        MetricDescriptor("ledger.pending", .gauge, "Bytes of accepted ids that the ledger has not got yet."),
        MetricDescriptor("ledger.unrecorded", .counter, "Accepted messages that could not be noted for the ledger."),
        MetricDescriptor("spool.pending", .gauge, "Messages in the spool."),
        MetricDescriptor("spool.lag", .gauge, .seconds, "Age of the oldest message in the spool."),
        MetricDescriptor("spool.relayed", .counter, "Messages published from the spool and confirmed."),
        MetricDescriptor("spool.failures", .counter, "Publishes from the spool that were not confirmed, by kind."),
        MetricDescriptor(
            "dead_letters.journaled", .counter, "Dead letters written to the journal, by queue and reason."),
        MetricDescriptor("dead_letters.replayed", .counter, "Dead letters published again."),
        MetricDescriptor("replay.waiting", .gauge, "Letters of replay campaigns that are still to be sent."),
        MetricDescriptor("replay.in_flight", .gauge, "Letters of replay campaigns without a known outcome."),
        MetricDescriptor("alerts.raised", .counter, "Alerts that began, by kind."),
        MetricDescriptor("alerts.open", .gauge, "Alerts that are open, by kind."),
    ]

    static let clients: [MetricDescriptor] = [
        MetricDescriptor("amqp.confirm.duration", .histogram, .seconds, "Time from publish to the broker's confirm."),
        MetricDescriptor("amqp.publish", .counter, "Publishes that ended, by outcome."),
        MetricDescriptor("amqp.deliveries", .counter, "Deliveries received."),
        MetricDescriptor("amqp.settlements", .counter, "Deliveries settled, by kind."),
        MetricDescriptor("amqp.reconnects", .counter, "Connections to the broker that were established again."),
        MetricDescriptor("amqp.consumers.cancelled", .counter, "Subscriptions that the broker ended."),
        MetricDescriptor("db.pool.waiting", .gauge, "Tasks that wait for a database connection."),
        MetricDescriptor(
            "db.pool.wait", .histogram, .seconds, "Time until a connection was there, of those who had to wait for it."),
        MetricDescriptor("db.pool.timeouts", .counter, "Waits for a database connection that were given up."),
        MetricDescriptor("db.connect.failures", .counter, "Attempts to connect to the database that failed."),
        MetricDescriptor("notifications.sent", .counter, "Notifications handed to the server, by template."),
        MetricDescriptor(
            "notifications.critical_time", .histogram, .seconds, buckets: MetricDescriptor.journeyBuckets,
            "Time from the outside event's arrival until the mail server had the mail that tells of it."),
        MetricDescriptor("smtp.send.duration", .histogram, .seconds, "Time to hand one mail over, by outcome."),
        MetricDescriptor(
            "notifications.ambiguous", .counter, "Sends cut off while nobody could know the outcome."),
        MetricDescriptor(
            "notifications.journal_failures", .counter, "Checkpoints of a send that could not be written."),
    ]

    static let http: [MetricDescriptor] = [
        MetricDescriptor("http.requests", .counter, "Requests answered, by route and status."),
        MetricDescriptor("http.request.duration", .histogram, .seconds, "Time from request to answer, by route."),
        MetricDescriptor("ingress.webhooks", .counter, "Webhooks received, by verdict."),
        MetricDescriptor("ingress.spooled", .counter, "Messages stored in the spool because the broker was away."),
        MetricDescriptor("ingress.log_ins", .counter, "Attempts to log in, by outcome."),
        MetricDescriptor("ingress.overloaded", .counter, "Requests refused because too many were under way."),
        MetricDescriptor("ingress.unavailable", .counter, "Requests refused because nothing could store them."),
    ]

    static let own: [MetricDescriptor] = [
        MetricDescriptor(
            "telemetry.series.dropped", .counter, "Series refused because a metric has too many or changed its kind."),
        MetricDescriptor(
            "telemetry.log_lines.dropped", .counter, "Log lines lost because nobody took them from standard error."),
        MetricDescriptor("telemetry.spans.exported", .counter, "Spans that the collector took."),
        MetricDescriptor("telemetry.spans.dropped", .counter, "Spans that were given up, by reason."),
    ]
}
