/// Runs messages whose effects are rows in batches, and those whose effects lie elsewhere one by one.
struct MixedRunner<Handler: MixedHandler>: JobRunner {
    private let handler: Handler
    private let messages: MessageRunner
    private let effects: EffectRunner

    init(handler: Handler, settings: RunnerSettings) {
        self.handler = handler
        messages = MessageRunner(handler: handler, settings: settings)
        effects = EffectRunner(handler: handler, settings: settings)
    }

    var maxBatchSize: Int { messages.maxBatchSize }

    /// An effect alone, so that each is settled as soon as it has happened; of the others as many as there are.
    func take(from ready: inout [Job], freeLanes: Int) -> [Job] {
        ready.takeFirst(withAllLikeIt: { !handler.hasOutsideEffect($0.envelope) }, upTo: maxBatchSize)
    }

    func run(_ jobs: [Job]) async -> [JobResult] {
        guard let first = jobs.first, handler.hasOutsideEffect(first.envelope) else { return await messages.run(jobs) }
        return await effects.run(jobs)
    }
}
