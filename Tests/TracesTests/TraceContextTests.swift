import Testing
import Traces

@Suite struct TraceContextTests {
    private static let header = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"

    @Test func aHeaderReadsBackAsItWas() throws {
        let context = try #require(TraceContext(traceParent: Self.header))
        #expect(context.traceID.description == "0af7651916cd43dd8448eb211c80319c")
        #expect(context.spanID == 0xb7ad_6b71_6920_3331 && context.isSampled)
        #expect(context.traceParent == Self.header)
    }

    @Test(arguments: [
        nil, "", "00", "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331",
        // All zero, upper case, no digits, the forbidden version, text behind version 00.
        "00-00000000000000000000000000000000-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-0000000000000000-01",
        "00-0AF7651916CD43DD8448EB211C80319C-B7AD6B7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319g-b7ad6b7169203331-01",
        "ff-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01-extra",
        "01-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01extra",
        "00_0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        " 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
        "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-é1",
    ])
    func whatIsNotValidIsNoContext(_ header: String?) {
        #expect(TraceContext(traceParent: header) == nil)
    }

    @Test func aLaterVersionIsReadAsFarAsItIsKnown() throws {
        let later = try #require(
            TraceContext(traceParent: "cc" + Self.header.dropFirst(2) + "-what-comes"))
        #expect(later.traceParent == Self.header)
        let flags = try #require(TraceContext(traceParent: Self.header.dropLast(2) + "fe"))
        #expect(!flags.isSampled && flags.traceParent.hasSuffix("-00"))
    }

    @Test func idsAreNeverZeroAndNeverTheSame() {
        let roots = (0..<1_000).map { _ in TraceContext.root(isSampled: false) }
        #expect(Set(roots.map(\.traceID)).count == 1_000 && Set(roots.map(\.spanID)).count == 1_000)
        for root in roots {
            #expect(TraceContext(traceParent: root.traceParent) == root)
            #expect(root.child().traceID == root.traceID && root.child().spanID != root.spanID)
        }
    }
}
