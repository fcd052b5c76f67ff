import WorkerRuntime

/// Workers, a broker, a database and a mail server in one thread, with a virtual clock and faults from a seed.
///
/// What decides is the code of production: `settle`, `RetryPolicy`, `SuspectOrder` and `CircuitBreaker`. What is simulated is
/// what carries the decisions out, and what goes wrong meanwhile.
struct Simulation {
    /// What happens to whoever handles a message.
    enum Nature: Equatable {
        case fine
        /// The first so many runs fail.
        case fails(Int)
        case hopeless
        /// Kills the process.
        case poison
        /// Needs the mail server.
        case mail
    }

    /// Mistakes to build in, to see that they are found.
    enum Mistake: CaseIterable {
        case none, shutdownSpendsAttempt, shutdownGivesBack, oneAttemptTooMany, acknowledgesBeforePublishing
        case outageSpendsAttempts, suspectsShareALane, commitsWithoutInbox
    }

    private struct Process {
        var fresh: [SimulatedBroker.Copy] = []
        var suspects: [SimulatedBroker.Copy] = []
        var breaker = CircuitBreaker()
        var inHand: [SimulatedBroker.Copy] { fresh + suspects }
    }

    private struct Died: Error {}

    static let policy = RetryPolicy()
    private static let prefetch = 10
    private static let work = "work"
    private static let mail = "mail"

    let mistake: Mistake
    let natures: [String: Nature]
    private var random: SplitMix
    private var broker = SimulatedBroker()
    private var processes = [Process(), Process(), Process()]
    private var inbox: Set<String> = []
    private var effects: [String: Int] = [:]
    private var suspectTries: [String: Int] = [:]
    private var runs: [String: Int] = [:]
    private var isMailServerUp = true
    private var hasFaults = true
    /// Messages of which a fault made two.
    private var doubled: Set<String> = []
    /// Each killer returns what travels with it twice at most (with its batch, and once alone before it is known), and so
    /// does each kill from outside once. The simulated delivery limit is 5, so two killers and one kill are what it must bear; with
    /// more at once, innocents can end as dead letters too, of the reason `delivery_limit`.
    private var killsLeft = 1
    private(set) var violations: [String] = []

    init(seed: UInt64, mistake: Mistake = .none) {
        self.mistake = mistake
        random = SplitMix(state: seed)
        var natures: [String: Nature] = [:]
        for number in 0..<60 {
            let nature: Nature =
                switch number {
                case 0, 1: .poison
                case 2...5: .hopeless
                case 6...8: .fails(1_000)
                case 9...20: .fails(1 + Int(random.next() % 6))
                case 21...40: .mail
                default: .fine
                }
            natures["m\(number)"] = nature
        }
        self.natures = natures
        for id in natures.keys.sorted().shuffled(using: &random) {
            broker.publish(.init(id: id, queue: natures[id] == .mail ? Self.mail : Self.work))
        }
    }

    /// Runs so many steps with faults, and then without until nothing moves.
    ///
    /// - Returns: what was violated; empty if nothing was.
    mutating func run(steps: Int) -> [String] {
        for _ in 0..<steps where violations.isEmpty { step() }
        hasFaults = false
        isMailServerUp = true
        var rest = 20_000
        while !(broker.isEmpty && processes.allSatisfy(\.inHand.isEmpty)), rest > 0, violations.isEmpty {
            rest -= 1
            step()
        }
        if rest == 0 { violations.append("messages go round for ever: \(Set(broker.copies.map(\.id)).sorted())") }
        if violations.isEmpty { audit() }
        return violations
    }

    // MARK: Steps

    private mutating func chance(_ percent: UInt64) -> Bool { random.next() % 100 < percent }

    private mutating func step() {
        let index = Int(random.next() % UInt64(processes.count))
        switch random.next() % 100 {
        case 0..<20:
            let seconds = hasFaults ? Double(random.next() % 60) : 3_600
            broker.advance(by: .seconds(seconds))
        case 20..<45: take(index)
        case 45..<70: attempt(index) { (world: inout Simulation) throws(Died) in try world.runBatch(index) }
        case 70..<90: attempt(index) { (world: inout Simulation) throws(Died) in try world.runSuspect(index) }
        case 90..<94 where hasFaults: drain(index)
        case 94..<95 where hasFaults && killsLeft > 0:
            killsLeft -= 1
            die(index)
        case 95..<97 where hasFaults: isMailServerUp.toggle()
        default: break
        }
        for copy in broker.copies + processes.flatMap(\.inHand) {
            if copy.attempts != copy.failures {
                violations.append("\(copy.id) has spent \(copy.attempts) attempts on \(copy.failures) failures")
            }
            if natures[copy.id] == .mail, copy.attempts > 0 {
                violations.append("\(copy.id) has spent \(copy.attempts) attempts on the mail server's outage")
            }
            if copy.attempts >= Self.policy.maxAttempts { violations.append("\(copy.id) is tried too often") }
        }
    }

    private mutating func take(_ index: Int) {
        processes[index].breaker.advance(to: broker.now)
        let mailIntake =
            switch processes[index].breaker.state {
            case .closed: Self.prefetch
            case .halfOpen: 1
            case .open: 0
            }
        for (queue, intake) in [(Self.work, Self.prefetch), (Self.mail, mailIntake)] {
            let held = processes[index].inHand.filter { $0.queue == queue }.count
            for copy in broker.take(max(0, intake - held), from: queue) {
                if copy.hasCrashEvidence, mistake != .suspectsShareALane {
                    processes[index].suspects.append(copy)
                } else {
                    processes[index].fresh.append(copy)
                }
            }
        }
    }

    /// Does something that the process may die of.
    private mutating func attempt(_ index: Int, _ work: (inout Simulation) throws(Died) -> Void) {
        do throws(Died) { try work(&self) } catch { die(index) }
    }

    private mutating func die(_ index: Int) {
        for copy in processes[index].inHand.reversed() { broker.giveBack(copy) }
        processes[index] = Process()
    }

    private mutating func drain(_ index: Int) {
        for copy in processes[index].inHand {
            // A broker connection that breaks while it drains: the rest goes back.
            _ = settleCopy(copy, .interrupted)
        }
        processes[index] = Process()
    }

    // MARK: Work

    private mutating func runBatch(_ index: Int) throws(Died) {
        let jobs = Array(processes[index].fresh.prefix(1 + Int(random.next() % 4)))
        guard !jobs.isEmpty else { return }
        // A killer takes the whole transaction with it.
        if jobs.contains(where: { natures[$0.id] == .poison && !inbox.contains($0.id) }) { throw Died() }
        var results: [JobResult] = []
        for job in jobs { results.append(handle(job, index)) }
        for (job, result) in zip(jobs, results) {
            processes[index].fresh.removeFirst()
            if !settleCopy(job, result) {
                processes[index].fresh.insert(job, at: 0)
                throw Died()
            }
        }
    }

    private mutating func runSuspect(_ index: Int) throws(Died) {
        let waiting = processes[index].suspects
        guard let next = SuspectOrder.next(among: waiting.map(\.id), tries: suspectTries) else { return }
        let job = waiting[next]
        let crashes = suspectTries[job.id, default: 0]
        suspectTries[job.id] = crashes + 1
        var result = SuspectOrder.result(afterCrashes: crashes, policy: Self.policy)
        if result == nil {
            if natures[job.id] == .poison { throw Died() }
            result = handle(job, index)
        }
        guard let result else { return }
        processes[index].suspects.remove(at: next)
        if !settleCopy(job, result) {
            processes[index].suspects.insert(job, at: next)
            throw Died()
        }
        suspectTries[job.id] = nil
    }

    /// Handles one message in a transaction that commits.
    private mutating func handle(_ job: SimulatedBroker.Copy, _ index: Int) -> JobResult {
        if inbox.contains(job.id) { return .duplicate }
        runs[job.id, default: 0] += 1
        switch natures[job.id] {
        case .hopeless: return .finished(.deadLetter(code: "never", detail: ""))
        case .fails(let times) where runs[job.id, default: 0] <= times:
            return .failed(Failure(code: "again", detail: ""))
        case .mail:
            guard let permit = processes[index].breaker.begin(at: broker.now) else {
                return .finished(.release(reason: "away"))
            }
            processes[index].breaker.end(permit, isMailServerUp ? .answered : .failed, at: broker.now, jitter: 0.5)
            if !isMailServerUp {
                return mistake == .outageSpendsAttempts
                    ? .failed(Failure(code: "smtp.0", detail: "")) : .finished(.release(reason: "away"))
            }
        default: break
        }
        effects[job.id, default: 0] += 1
        if mistake != .commitsWithoutInbox { inbox.insert(job.id) }
        return .finished(.done)
    }

    /// Settles a copy with the decision of production.
    ///
    /// - Returns: false if the process dies before it has told the broker; the copy is unsettled then.
    private mutating func settleCopy(_ job: SimulatedBroker.Copy, _ result: JobResult) -> Bool {
        var copy = job
        switch result {
        case .failed, .timedOut, .finished(.retry): copy.failures += 1
        default: break
        }
        var settlement = WorkerRuntime.settle(result, attemptsSpent: job.attempts, policy: Self.policy)
        if result == .interrupted {
            if mistake == .shutdownSpendsAttempt {
                settlement = .retry(Self.policy.tiers[0], Failure(code: "interrupted", detail: ""))
            }
            if mistake == .shutdownGivesBack { settlement = .release }
        }
        if mistake == .oneAttemptTooMany, case .deadLetter(.exhausted, let failure) = settlement,
            job.attempts < Self.policy.maxAttempts
        {
            settlement = .retry(Self.policy.tiers[0], failure)
        }
        // A process dies in the middle, but rarely: each death is a return for all that it has in hand.
        var dies = false
        if hasFaults, killsLeft > 0, result != .interrupted, chance(1) {
            killsLeft -= 1
            dies = true
        }
        switch settlement {
        case .acknowledge: return !dies
        case .release:
            broker.giveBack(copy)
            return true
        case .retry, .postpone, .deadLetter: break
        }
        if dies, mistake == .acknowledgesBeforePublishing { return true }
        // The confirm may be lost, and the publish is repeated.
        let copies = hasFaults && chance(2) ? 2 : 1
        if copies == 2 || dies { doubled.insert(copy.id) }
        for _ in 0..<copies {
            switch settlement {
            case .retry(let tier, _):
                var moved = copy
                moved.attempts += 1
                broker.rest(moved, in: tier)
            case .postpone(let tier): broker.rest(copy, in: tier)
            case .deadLetter(let reason, _): broker.bury(copy, reason)
            case .acknowledge, .release: break
            }
        }
        return !dies
    }

    // MARK: The end

    private mutating func audit() {
        let deaths = Dictionary(grouping: broker.letters, by: \.id)
        for (id, nature) in natures.sorted(by: { $0.key < $1.key }) {
            let isDone = effects[id] != nil
            let letters = deaths[id] ?? []
            if effects[id, default: 0] > 1 { violations.append("\(id) took effect \(effects[id] ?? 0) times") }
            if !isDone && letters.isEmpty { violations.append("\(id) is lost") }
            // Of two copies one may succeed and the other use up its attempts.
            if !doubled.contains(id) && (isDone ? 1 : 0) + letters.count > 1 {
                violations.append("\(id) ended more than once: \(letters.map(\.reason)), done \(isDone)")
            }
            let allowed: Set<String> =
                switch nature {
                case .fine, .mail: []
                case .fails(let times): times < Self.policy.maxAttempts && !doubled.contains(id) ? [] : ["exhausted"]
                case .hopeless: ["rejected"]
                case .poison: ["poison", "delivery_limit"]
                }
            for letter in letters where !allowed.contains(letter.reason) {
                violations.append("\(id), \(nature), died of \(letter.reason)")
            }
        }
    }
}
