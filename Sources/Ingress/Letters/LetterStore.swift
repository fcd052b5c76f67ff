package import Domain
package import Messaging
package import Persistence

/// What the API shows of dead letters and lets operators do to them.
package protocol LetterStore: Sendable {
    func list(_ filter: DeadLetters.Filter, after cursor: DeadLetterID?, limit: Int) async throws -> DeadLetters.Page
    func groups(includesResolved: Bool, limit: Int) async throws -> [LetterGroup]
    func find(_ id: DeadLetterID) async throws -> DeadLetter?
    func facts(of letter: DeadLetter) async throws -> LetterFacts
    /// - Throws: `JSONPatch.Failure` if the patch cannot be applied to the original.
    func edit(
        _ id: DeadLetterID, patch: JSONPatch?, replacing former: JSONPatch?, reason: String?, by who: String
    ) async throws -> DeadLetters.EditResult
    /// - Returns: whether the letter was dead.
    func discard(_ id: DeadLetterID, reason: String, by who: String) async throws -> Bool
    /// - Returns: whether the letter was discarded.
    func restore(_ id: DeadLetterID, reason: String?, by who: String) async throws -> Bool
}
