/// The work did not end in its time.
struct TimeLimitExceeded: Error {
    let limit: Duration
}

/// Runs work and cancels it after `limit`; returns or throws only once the work has ended.
///
/// - Throws: `TimeLimitExceeded` if the limit had passed before the work ended by throwing.
func withTimeLimit<Result: Sendable>(
    _ limit: Duration, _ work: @escaping @Sendable () async throws -> Result
) async throws -> Result {
    try await withThrowingTaskGroup(of: Result?.self) { group in
        group.addTask { try await work() }
        group.addTask {
            try await Task.sleep(for: limit)
            return nil
        }
        defer { group.cancelAll() }
        guard let first = try await group.next() else { throw CancellationError() }
        if let result = first { return result }
        group.cancelAll()
        do {
            // Work that finishes in spite of the cancellation has finished.
            if let result = try await group.next() ?? nil { return result }
        } catch {
            throw TimeLimitExceeded(limit: limit)
        }
        throw TimeLimitExceeded(limit: limit)
    }
}
