import CLibPQ
import OwnerThread
import Synchronization

/// Sending jobs and reading their answers.
extension PostgresConnection {
    func enqueue(_ job: Job) {
        if var error = closeReason {
            error.isUnsent = true
            return job.completion(.failure(error))
        }
        // A connection that sat idle may have lost its server; that costs nothing to see and saves a failed call.
        if running == nil, queue.isEmpty, connecting == nil, ContinuousClock.now - lastUse > .milliseconds(100) {
            checkLiveness()
            if var error = closeReason {
                error.isUnsent = true
                return job.completion(.failure(error))
            }
        }
        queue.append(job)
        startNext()
    }

    /// Sends the next job if nothing is under way.
    func startNext() {
        while running == nil, !isCancelInFlight, connecting == nil, !queue.isEmpty, handle != nil {
            let job = queue.removeFirst()
            if let scope = job.scope {
                do throws(PostgresError) {
                    try enter(scope)
                } catch {
                    job.completion(.failure(error))
                    continue
                }
            }
            condition.store(.dirty, ordering: .releasing)
            start(job)
        }
    }

    private func start(_ job: Job) {
        switch job.request {
        case .statements, .control:
            sendPipeline(job)
        case .script, .copyIn:
            if deferred.isEmpty { sendSimple(job) } else { sendPipeline(job, isPreamble: true) }
        }
    }

    // MARK: Sending

    private func sendPipeline(_ job: Job, isPreamble: Bool = false) {
        guard let raw = handle?.raw else { return }
        // What was deferred or is asked for may open a transaction, so only before it can a failure be without effect.
        var steps: [Exchange.Step] = []
        if PQtransactionStatus(raw) == PQTRANS_IDLE, !statements.abandoned.isEmpty {
            steps = statements.abandoned.prefix(8).map { .deallocate($0) } + [.sync]
        }
        var plan = StatementPlan(steps: steps)
        for item in deferred {
            switch item {
            case .begin(let text): plan.add(text)
            case .savepoint(let name):
                plan.savepoints.append((plan.steps.count, name))
                plan.add("savepoint \(name)")
            case .release(let name): plan.add("release savepoint \(name)")
            case .rollback(let name): plan.add("rollback to savepoint \(name)")
            case .statement(let sql): add(sql, isReported: false, to: &plan)
            }
        }
        deferred = []
        switch job.request {
        case .statements(let all):
            for sql in all { add(sql, isReported: true, to: &plan) }
        case .control(let texts):
            plan.steps += texts.map { .control($0, isReported: true) }
        case .script, .copyIn:
            break
        }
        plan.steps.append(.sync)
        steps = plan.steps
        let sql = plan.statements

        let isSent = steps.allSatisfy { step in
            switch step {
            case .prepare(let name, let key): Wire.prepare(raw, name: name, key: key)
            case .execute(let index, let name, _): Wire.execute(raw, sql[index], name: name)
            case .control(let text, _): Wire.execute(raw, SQL(unescaped: text), name: nil)
            case .deallocate(let name): Wire.execute(raw, SQL(unescaped: "deallocate \(name)"), name: nil)
            case .sync: PQpipelineSync(raw) == 1
            case .script: false
            }
        }
        running = Running(
            job: job, exchange: Exchange(steps: steps, keys: plan.keys), savepoints: plan.savepoints,
            isPreamble: isPreamble)
        guard isSent else { return close(lostConnection()) }
        startWatchdog(statementCount: steps.count)
        flush()
    }

    /// Steps, and the statements that they run.
    private struct StatementPlan {
        var steps: [Exchange.Step]
        var statements: [SQL] = []
        var keys: [StatementCache.Key] = []
        /// Of statements that are prepared on the way.
        var names: [StatementCache.Key: String] = [:]
        var savepoints: [(step: Int, name: String)] = []

        mutating func add(_ control: String) {
            steps.append(.control(control, isReported: false))
        }
    }

    /// Turns a statement into steps; if it is not prepared yet, it is prepared on the way.
    private func add(_ sql: SQL, isReported: Bool, to plan: inout StatementPlan) {
        let index = plan.statements.count
        plan.statements.append(sql)
        guard statements.isEnabled else {
            return plan.steps.append(.execute(index: index, name: nil, isReported: isReported))
        }
        let key = StatementCache.Key(sql)
        plan.keys.append(key)
        let known = plan.names[key] ?? statements.name(for: key)
        let name = known ?? statements.makeName()
        if known == nil {
            plan.names[key] = name
            plan.steps.append(.prepare(name: name, key: key))
        }
        plan.steps.append(.execute(index: index, name: name, isReported: isReported))
    }

    private func sendSimple(_ job: Job) {
        guard let raw = handle?.raw else { return }
        let text: String
        switch job.request {
        case .script(let script): text = script
        case .copyIn(let sql, _): text = sql.text
        case .statements, .control: return
        }
        running = Running(job: job, exchange: Exchange(steps: [.script(text)]), isPipelined: false)
        guard PQexitPipelineMode(raw) == 1, PQsendQuery(raw, text) == 1 else { return close(lostConnection()) }
        startWatchdog(statementCount: 1)
        flush()
    }

    /// Gives up on a server that has stopped talking: its own limit for each statement and the allowance.
    private func startWatchdog(statementCount: Int) {
        guard let limit = configuration.statementTimeout else { return }
        if case .copyIn? = running?.job.request { return }  // As long as the data takes; keepalives guard it.
        running?.watchdog = threads.owner.schedule(
            after: limit * statementCount + configuration.silenceAllowance
        ) { [weak self] in
            self?.assumeIsolated { connection in
                connection.close(PostgresError(.timeout, "the server did not answer within its own time limit"))
            }
        }
    }

    /// Writes what libpq has buffered, and waits for the socket if that is not all of it.
    private func flush() {
        guard let raw = handle?.raw else { return }
        switch PQflush(raw) {
        case 0: setInterest(.readable)
        case 1: setInterest([.readable, .writable])
        default: readAnswers()  // The server may have said why before it hung up.
        }
    }

    private func setInterest(_ new: Readiness) {
        guard new != interest, let watch else { return }
        interest = new
        threads.owner.update(watch, for: new)
    }

    // MARK: Receiving

    func socketIsReady(_ readiness: Readiness) {
        guard let raw = handle?.raw else { return }
        if readiness.contains(.writable) {
            if running?.nextChunk != nil { feedCopy() } else { flush() }
        }
        guard handle != nil, readiness != .writable else { return }
        guard PQconsumeInput(raw) == 1 else {
            // Answers that came before the end are still worth reading.
            readAnswers()
            if handle != nil { close(lostConnection()) }
            return
        }
        readAnswers()
        _ = drainNotifications()
    }

    /// Takes every answer that has arrived in full.
    private func readAnswers() {
        while let raw = handle?.raw, running != nil, running?.isFinished == false, PQisBusy(raw) == 0 {
            let effect: Exchange.Effect
            if let pointer = PQgetResult(raw) {
                let result = ResultHandle(raw: pointer)
                if result.status == PGRES_COPY_IN {
                    running?.nextChunk = 0
                    feedCopy()
                    return
                }
                guard let answer = answer(from: result) else { return }
                effect = running?.exchange.receive(answer) ?? .none
            } else {
                effect = running?.exchange.receive(.end) ?? .none
            }
            switch effect {
            case .none: break
            case .remember(let key, let name): statements.insert(key, name: name)
            case .forget(let name): statements.forgotten(name)
            case .finish: finishExchange()
            }
        }
    }

    /// Nil if the session has ended.
    private func answer(from result: borrowing ResultHandle) -> Exchange.Answer? {
        switch result.status {
        case PGRES_TUPLES_OK, PGRES_COMMAND_OK, PGRES_EMPTY_QUERY:
            return .rows(result.rows())
        case PGRES_PIPELINE_SYNC:
            return .sync
        case PGRES_PIPELINE_ABORTED:
            return .skipped
        case PGRES_FATAL_ERROR:
            let error = result.error()
            if error.endsSession || handle?.isBroken ?? true {
                let first = running?.exchange.failure
                var reason = first ?? error
                reason.code = .connectionLost
                close(reason)
                return nil
            }
            return .failed(error)
        default:
            // COPY TO STDOUT and replication: nothing here reads their streams, and there is no other way out.
            close(PostgresError(.misuse, "the statement started a stream that this client does not read"))
            return nil
        }
    }

    private func finishExchange() {
        guard let raw = handle?.raw, let running else { return }
        if let watchdog = running.watchdog { threads.owner.cancel(watchdog) }
        if running.isPipelined {
            // Brings libpq from "pipeline, between commands" back to idle.
            while let extra = PQgetResult(raw) { PQclear(extra) }
        } else if PQenterPipelineMode(raw) != 1 {
            return close(lostConnection())
        }
        if isCancelInFlight {
            self.running?.isFinished = true
        } else {
            completeExchange()
        }
    }

    /// Hands out the result, once nothing of the exchange is under way any more.
    func completeExchange() {
        guard let raw = handle?.raw, let finished = running else { return }
        if let drainDeadline { threads.owner.cancel(drainDeadline) }
        drainDeadline = nil
        running = nil
        lastUse = .now
        var job = finished.job
        let status = PQtransactionStatus(raw)
        for (step, name) in finished.savepoints where step < finished.exchange.failedStep ?? .max {
            savepoints.insert(name)
        }

        var failure = finished.exchange.failure
        if let error = failure, error.isStaleStatement {
            for key in finished.exchange.keys {
                statements.remove(key, isKnownToServer: error.sqlState != .unknownStatementName)
            }
            // Outside a transaction the Sync has undone the whole exchange, so it can be sent again.
            if !job.hasRetried, !job.isCancelled, status == PQTRANS_IDLE, scope == nil {
                job.hasRetried = true
                queue.insert(job, at: 0)
                return startNext()
            }
        }
        if failure == nil, finished.isPreamble {
            if !job.isCancelled { return sendSimple(job) }
            // The request came while BEGIN was under way and had nothing to cancel.
            failure = PostgresError(.cancelled, "cancelled before it was sent", sqlState: .queryCanceled)
        }
        let isClean = status == PQTRANS_IDLE && deferred.isEmpty && scope == nil && channels.isEmpty && queue.isEmpty
        condition.store(isClean ? .clean : .dirty, ordering: .releasing)
        if job.isCancelled, failure?.sqlState == .queryCanceled {
            job.completion(.failure(CancellationError()))
        } else if let error = failure.take() {
            job.completion(.failure(error))
        } else {
            job.completion(.success(finished.exchange.rows))
        }
        startNext()
    }

    // MARK: COPY

    /// Hands data to libpq for as long as the socket takes it.
    private func feedCopy() {
        guard let raw = handle?.raw, var index = running?.nextChunk, let job = running?.job else { return }
        guard case .copyIn(_, let chunks) = job.request, !job.isCancelled else {
            // A script with COPY in it, or a task that wants no more.
            running?.nextChunk = nil
            guard PQputCopyEnd(raw, "no data") != -1 else { return close(lostConnection()) }
            return flush()
        }
        while index < chunks.count {
            let status = chunks[index].withUnsafeBytes { bytes in
                PQputCopyData(raw, bytes.baseAddress?.assumingMemoryBound(to: CChar.self), CInt(bytes.count))
            }
            if status == -1 { return close(lostConnection()) }
            if status == 1 { index += 1 }
            running?.nextChunk = index
            let flushed = PQflush(raw)
            if flushed == -1 { return close(lostConnection()) }
            if flushed == 1 || status == 0 { return setInterest([.readable, .writable]) }
        }
        switch PQputCopyEnd(raw, nil) {
        case 1:
            running?.nextChunk = nil
            flush()
        case 0: setInterest([.readable, .writable])
        default: close(lostConnection())
        }
    }
}
