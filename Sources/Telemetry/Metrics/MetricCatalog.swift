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
            "worker.batch.size", .histogram, buckets: MetricDescriptor.sizeBuckets, "Deliveries in one transaction."),
        MetricDescriptor("worker.batch.fallbacks", .counter, "Batches that were taken apart and run one by one."),
        MetricDescriptor(
            "worker.transaction.restarts", .counter, "Transactions run again in place, by SQLSTATE or cause."),
        MetricDescriptor("worker.in_flight", .gauge, "Deliveries taken and not yet settled."),
        MetricDescriptor("worker.suspects", .gauge, "Deliveries with crash evidence that wait for the single lane."),
        MetricDescriptor("worker.paused", .gauge, "1 while a worker waits for PostgreSQL, otherwise 0."),
    ]

    static let relay: [MetricDescriptor] = [
        MetricDescriptor("outbox.pending", .gauge, "Messages in the outbox that are due."),
        MetricDescriptor("outbox.lag", .gauge, .seconds, "Age of the oldest outbox message that is due."),
        MetricDescriptor("outbox.relayed", .counter, "Messages published from the outbox and confirmed."),
        MetricDescriptor("outbox.failures", .counter, "Publishes from the outbox that were not confirmed, by kind."),
        MetricDescriptor("spool.pending", .gauge, "Messages in the spool."),
        MetricDescriptor("spool.lag", .gauge, .seconds, "Age of the oldest message in the spool."),
        MetricDescriptor("spool.relayed", .counter, "Messages published from the spool and confirmed."),
        MetricDescriptor("spool.failures", .counter, "Publishes from the spool that were not confirmed, by kind."),
        MetricDescriptor(
            "dead_letters.journaled", .counter, "Dead letters written to the journal, by queue and reason."),
        MetricDescriptor("dead_letters.replayed", .counter, "Dead letters published again."),
    ]

    static let clients: [MetricDescriptor] = [
        MetricDescriptor("amqp.confirm.duration", .histogram, .seconds, "Time from publish to the broker's confirm."),
        MetricDescriptor("amqp.publishes", .counter, "Publishes that ended, by outcome."),
        MetricDescriptor("amqp.publishes.in_flight", .gauge, "Publishes that wait for their confirm."),
        MetricDescriptor("amqp.deliveries", .counter, "Deliveries received, by queue."),
        MetricDescriptor("amqp.connections.opened", .counter, "Connections that were established."),
        MetricDescriptor("amqp.connections.lost", .counter, "Connections that broke."),
        MetricDescriptor("db.pool.waiting", .gauge, "Tasks that wait for a database connection."),
        MetricDescriptor("db.pool.connections", .gauge, "Open database connections, by state."),
        MetricDescriptor("db.pool.wait", .histogram, .seconds, "Time that tasks waited for a database connection."),
        MetricDescriptor("db.pool.timeouts", .counter, "Waits for a database connection that were given up."),
        MetricDescriptor("smtp.send.duration", .histogram, .seconds, "Time to hand a mail to the server."),
        MetricDescriptor("smtp.sends", .counter, "Mails handed to the server, by outcome."),
    ]

    static let http: [MetricDescriptor] = [
        MetricDescriptor("http.server.requests", .counter, "Requests answered, by method, route and status."),
        MetricDescriptor(
            "http.server.request.duration", .histogram, .seconds, "Time from request to answer, by route."),
        MetricDescriptor("http.server.active_requests", .gauge, "Requests that are being answered."),
        MetricDescriptor("webhook.deliveries", .counter, "Webhooks received, by verdict and where they were stored."),
    ]

    static let own: [MetricDescriptor] = [
        MetricDescriptor(
            "telemetry.series.dropped", .counter, "Series refused because a metric has too many or changed its kind.")
    ]
}
