/// The rules of the lane of suspects, apart from where its notes are kept.
package enum SuspectOrder {
    /// Which of the waiting is tried next: the first of those that have killed least often.
    ///
    /// - Parameter tries: by message, tries alone that nobody came back from.
    package static func next(among waiting: [String], tries: [String: Int]) -> Int? {
        waiting.indices.min { tries[waiting[$0], default: 0] < tries[waiting[$1], default: 0] }
    }

    /// How a try ends before it begins; nil if it may begin.
    ///
    /// - Parameter crashes: earlier tries alone that nobody came back from.
    package static func result(afterCrashes crashes: Int, policy: RetryPolicy) -> JobResult? {
        crashes >= policy.maxSoloCrashes ? .poison(crashes: crashes) : nil
    }
}
