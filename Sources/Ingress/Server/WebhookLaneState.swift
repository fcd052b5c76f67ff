/// Which requests of a connection the webhook lane answers itself, and what must wait meanwhile.
///
/// Pure. Requests of a connection are answered one after another. A request is either the lane's from its header to its
/// answer, during which everything else that comes is held back; or it is passed on, and then everything is passed on until
/// all that was passed on is answered.
struct WebhookLaneState {
    enum Part {
        case head(isOurs: Bool)
        case body, end
    }

    /// What to do with a part.
    enum Action: Equatable {
        case pass
        /// It belongs to the request that the lane reads.
        case keep
        /// The lane has its whole request.
        case answer
        /// For later, when the lane's answer is written.
        case hold
    }

    private enum Phase {
        /// Becomes `reading` or `passing`.
        case idle
        /// Becomes `answering`.
        case reading
        /// Becomes `idle`.
        case answering
        /// Becomes `idle`. Answers may begin and end before their requests do.
        case passing(unanswered: Int, isReading: Bool)
    }

    private var phase = Phase.idle

    /// Whether the lane has a request, so that nothing may overtake it.
    var isBusy: Bool {
        switch phase {
        case .reading, .answering: true
        case .idle, .passing: false
        }
    }

    mutating func received(_ part: Part) -> Action {
        switch (phase, part) {
        case (.answering, _):
            return .hold
        case (.idle, .head(isOurs: true)):
            phase = .reading
            return .keep
        case (.reading, .end):
            phase = .answering
            return .answer
        case (.reading, _):
            return .keep
        case (.idle, .head):
            phase = .passing(unanswered: 1, isReading: true)
        case (.passing(let unanswered, _), .head):
            phase = .passing(unanswered: unanswered + 1, isReading: true)
        case (.passing(let unanswered, _), .end):
            phase = unanswered == 0 ? .idle : .passing(unanswered: unanswered, isReading: false)
        case (.passing, .body), (.idle, _):
            break
        }
        return .pass
    }

    /// The answer to a request that was passed on is written.
    mutating func wroteAnswer() {
        guard case .passing(let unanswered, let isReading) = phase else { return }
        phase =
            unanswered <= 1 && !isReading ? .idle : .passing(unanswered: max(0, unanswered - 1), isReading: isReading)
    }

    /// The lane's own answer is written.
    mutating func answered() {
        if case .answering = phase { phase = .idle }
    }
}
