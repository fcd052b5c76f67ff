import Testing

@testable import AMQP

@Suite struct ConfirmWindowTests {
    typealias Window = ConfirmWindow<String>

    /// Sends a, b, c, ... and then takes the answers; answers who got which outcome, in order.
    private func run(
        sending count: Int, _ answers: [(tag: UInt64, multiple: Bool, isRefused: Bool)]
    ) -> (log: [String], window: Window, known: [Bool]) {
        var window = Window()
        var log: [String] = []
        for index in 0..<count { window.send(String(UnicodeScalar(UInt8(97 + index)))) }
        let known = answers.map { answer in
            window.settle(answer.tag, multiple: answer.multiple, isRefused: answer.isRefused) { item, outcome in
                log.append("\(item) \(outcome)")
            }
        }
        return (log, window, known)
    }

    @Test func tagsCountFromOne() {
        var window = Window()
        #expect(window.send("a") == 1)
        #expect(window.send("b") == 2)
        _ = window.settle(1, multiple: false, isRefused: false) { _, _ in }
        #expect(window.send("c") == 3)
    }

    @Test func singleAnswersComeInAnyOrder() {
        let (log, window, known) = run(sending: 3, [(3, false, false), (1, false, true), (2, false, false)])
        #expect(log == ["c confirmed", "a refused", "b confirmed"])
        #expect(window.waiting == 0)
        #expect(known == [true, true, true])
    }

    @Test func multipleCoversAllBeforeThatAreUnanswered() {
        let (log, window, _) = run(sending: 4, [(2, false, false), (3, true, false)])
        #expect(log == ["b confirmed", "a confirmed", "c confirmed"])
        #expect(window.waiting == 1)
        #expect(window.oldest == "d")
    }

    @Test func multipleRefusalCoversAllBefore() {
        #expect(run(sending: 2, [(2, true, true)]).log == ["a refused", "b refused"])
    }

    @Test func tagZeroWithMultipleMeansAll() {
        let (log, window, known) = run(sending: 2, [(0, true, false), (0, true, false)])
        #expect(log == ["a confirmed", "b confirmed"])
        #expect(window.waiting == 0)
        #expect(known == [true, true])
    }

    @Test func repeatedAnswerMeansNothingNew() {
        let (log, window, known) = run(
            sending: 3, [(2, false, false), (2, false, true), (1, false, false), (1, false, false)])
        #expect(log == ["b confirmed", "a confirmed"])
        #expect(known == [true, true, true, true])
        #expect(window.waiting == 1)
    }

    @Test(arguments: [(3, false), (3, true), (0, false), (.max, true)] as [(UInt64, Bool)])
    func answerForATagNeverSentIsReported(tag: UInt64, multiple: Bool) {
        let (log, window, known) = run(sending: 2, [(tag, multiple, false)])
        #expect(log.isEmpty)
        #expect(known == [false])
        #expect(window.waiting == 2)
    }

    @Test func returnedMessageKeepsItsReasonUntilTheAnswer() {
        var window = Window()
        var log: [String] = []
        for item in ["x", "y", "x"] { window.send(item) }
        #expect((window.markReturned(replyCode: 312, replyText: "NO_ROUTE") { $0 == "x" }) == true)
        #expect((window.markReturned(replyCode: 313, replyText: "other") { $0 == "x" }) == true)
        #expect((window.markReturned(replyCode: 312, replyText: "NO_ROUTE") { $0 == "x" }) == false)
        #expect(log.isEmpty)
        _ = window.settle(3, multiple: true, isRefused: false) { log.append("\($0) \($1)") }
        #expect(
            log == [
                #"x returned(replyCode: 312, replyText: "NO_ROUTE")"#, "y confirmed",
                #"x returned(replyCode: 313, replyText: "other")"#,
            ])
    }

    @Test func refusalAfterReturnIsARefusal() {
        var window = Window()
        window.send("x")
        #expect((window.markReturned(replyCode: 312, replyText: "NO_ROUTE") { _ in true }) == true)
        var outcome: Window.Outcome?
        _ = window.settle(1, multiple: false, isRefused: true) { outcome = $1 }
        #expect(outcome == .refused)
    }

    @Test func abandonedKeepTheirTagsUntilTheAnswer() {
        var window = Window()
        var log: [String] = []
        for item in ["a", "b", "c"] { window.send(item) }
        log += window.abandon { $0 < "c" }
        #expect(log == ["a", "b"])
        #expect((window.waiting, window.abandoned) == (1, 2))
        #expect(window.oldest == "c")
        _ = window.settle(3, multiple: true, isRefused: false) { item, outcome in log.append("\(item) \(outcome)") }
        #expect(log == ["a", "b", "c confirmed"])
        #expect((window.waiting, window.abandoned) == (0, 0))
        #expect(window.send("d") == 4)
    }

    @Test func whatIsAbandonedTakesItsOwnReturn() {
        var window = Window()
        var log: [String] = []
        window.send("x")
        _ = window.abandon { _ in true }
        window.send("x")
        for _ in 0..<2 {
            #expect((window.markReturned(replyCode: 312, replyText: "NO_ROUTE") { $0 == "x" }) == true)
            log.append(window.oldest ?? "nobody")
        }
        #expect((window.markReturned(replyCode: 312, replyText: "NO_ROUTE") { $0 == "x" }) == false)
        _ = window.settle(2, multiple: true, isRefused: false) { log.append("\($0) \($1)") }
        #expect(log == ["x", "x", #"x returned(replyCode: 312, replyText: "NO_ROUTE")"#])
    }

    @Test func whatCameBackBeforeItWasAbandonedTakesNoOther() {
        var window = Window()
        window.send("x")
        #expect((window.markReturned(replyCode: 312, replyText: "NO_ROUTE") { _ in true }) == true)
        _ = window.abandon { _ in true }
        #expect((window.markReturned(replyCode: 312, replyText: "NO_ROUTE") { _ in true }) == false)
    }

    /// One publish is never answered, and the oldest that is waited for is asked for at every turn.
    @Test func theOldestIsFoundWithoutALookAtAllThatAreDone() {
        var window = ConfirmWindow<Int>()
        window.send(0)
        #expect(window.abandon { $0 == 0 } == [0])
        for number in 1...200_000 {
            let tag = window.send(number)
            #expect(window.oldest == number)
            _ = window.settle(tag, multiple: false, isRefused: false) { _, _ in }
            #expect(window.oldest == nil)
        }
        #expect(window.span == 200_001)
    }

    @Test func resetHandsOutWhoeverWaitsAndStartsAtOne() {
        var window = Window()
        var log: [String] = []
        for item in ["a", "b", "c", "d"] { window.send(item) }
        _ = window.settle(2, multiple: false, isRefused: false) { _, _ in }
        _ = window.abandon { $0 == "a" }
        window.reset { log.append($0) }
        #expect(log == ["c", "d"])
        #expect((window.waiting, window.abandoned) == (0, 0))
        #expect(window.send("e") == 1)
    }

    /// Random answers against the simplest bookkeeping there is.
    @Test func agreesWithASetOfTags() {
        var random = SystemRandomNumberGenerator()
        for _ in 0..<50 {
            var window = ConfirmWindow<UInt64>()
            var open: Set<UInt64> = []
            var last: UInt64 = 0
            for _ in 0..<4_000 {
                if open.count < 300, Bool.random(using: &random) {
                    last += 1
                    #expect(window.send(last) == last)
                    open.insert(last)
                } else if let tag = open.randomElement(using: &random) {
                    let multiple = UInt8.random(in: 0..<20, using: &random) == 0
                    var settled: Set<UInt64> = []
                    #expect(
                        (window.settle(tag, multiple: multiple, isRefused: false) { item, _ in settled.insert(item) })
                            == true)
                    let expected: Set<UInt64> = multiple ? open.filter { $0 <= tag } : [tag]
                    #expect(settled == expected)
                    open.subtract(expected)
                }
                #expect(window.waiting == open.count)
            }
        }
    }
}
