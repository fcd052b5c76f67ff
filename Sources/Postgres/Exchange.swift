/// One conversation with the server: commands sent together and answered in order.
///
/// Everything but COPY and scripts goes through pipeline mode and ends with a Sync, so that what belongs together (the
/// preparation of a statement, a BEGIN, a batch) costs one round trip. After an error the server skips all commands up
/// to the next Sync, and undoes those since the last one unless a transaction block is open.
///
/// A state machine without I/O: the connection tells it what libpq returned and carries out the effect.
struct Exchange {
    /// One command, or the Sync at the end of a group.
    enum Step: Equatable {
        /// Makes a prepared statement.
        case prepare(name: String, key: StatementCache.Key)
        /// Runs a statement of the caller; `name` if it is prepared. The caller sees its answer if it is reported.
        case execute(index: Int, name: String?, isReported: Bool = true)
        /// Runs a statement of ours (BEGIN, SAVEPOINT, ...); the caller sees its answer if it is reported.
        case control(String, isReported: Bool)
        /// Drops a prepared statement nobody will use again. Its failure is nobody's, so it must be in a group of its own
        /// that comes before the caller's: behind them it would undo what the caller was told is done.
        case deallocate(String)
        case sync
        /// Text with any number of statements, outside pipeline mode.
        case script(String)
    }

    /// What `PQgetResult` returned.
    enum Answer {
        case rows(Rows)
        case failed(PostgresError)
        /// An earlier command failed, so this one was not run.
        case skipped
        /// Null: no more results of this command.
        case end
        case sync
    }

    /// What the owner does next.
    enum Effect: Equatable {
        case none
        /// The server has prepared a statement.
        case remember(StatementCache.Key, name: String)
        /// The server has dropped a prepared statement.
        case forget(String)
        /// All answers are in.
        case finish
    }

    let steps: [Step]
    /// Statements of the cache that this exchange uses.
    let keys: [StatementCache.Key]
    private(set) var rows: [Rows] = []
    private(set) var failure: PostgresError?
    /// The step that failed first; none after it was run.
    private(set) var failedStep: Int?
    private var cursor = 0

    init(steps: [Step], keys: [StatementCache.Key] = []) {
        self.steps = steps
        self.keys = keys
    }

    var result: Result<[Rows], PostgresError> {
        failure.map { .failure($0) } ?? .success(rows)
    }

    /// Takes one answer.
    ///
    /// Answers beyond the last step, which a correct server never sends, change nothing.
    mutating func receive(_ answer: Answer) -> Effect {
        guard cursor < steps.count else { return .none }
        switch (answer, steps[cursor]) {
        case (.sync, .sync):
            cursor += 1
            return cursor == steps.count ? .finish : .none
        case (.sync, _):
            // The steps before a Sync are always answered, so something was miscounted: better an error than a hang.
            failure = failure ?? PostgresError(.connectionLost, "the server's answers do not match the commands")
            cursor = steps.count
            return .finish
        case (.end, .script):
            cursor += 1
            return .finish
        case (.end, .sync):
            return .none
        case (.end, _):
            cursor += 1
            return .none
        case (.rows(let rows), .execute(_, _, isReported: true)), (.rows(let rows), .control(_, isReported: true)),
            (.rows(let rows), .script):
            self.rows.append(rows)
            return .none
        case (.rows, .prepare(let name, let key)):
            return .remember(key, name: name)
        case (.rows, .deallocate(let name)):
            return .forget(name)
        case (.failed(let error), .deallocate(let name)):
            // Cancelled, it is still there and is dropped another time; otherwise the server does not know it.
            return error.sqlState == .queryCanceled ? .none : .forget(name)
        case (.failed(let error), _):
            if failure == nil { (failure, failedStep) = (error, cursor) }
            return .none
        case (.rows, _), (.skipped, _):
            return .none
        }
    }
}
