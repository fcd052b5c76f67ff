import CRabbitMQ

/// Memory for what one call hands to the library: its texts and tables, as C structures.
///
/// What an arena made is valid until it is reset or freed.
struct Arena: ~Copyable {
    private let pool: UnsafeMutablePointer<amqp_pool_t>

    init() {
        pool = .allocate(capacity: 1)
        init_amqp_pool(pool, 4_096)
    }

    deinit {
        empty_amqp_pool(pool)
        pool.deallocate()
    }

    func reset() {
        recycle_amqp_pool(pool)
    }

    func bytes(_ text: String) -> amqp_bytes_t {
        var text = text
        return text.withUTF8 { copy(UnsafeRawBufferPointer($0)) }
    }

    func table(_ table: FieldTable) -> amqp_table_t {
        guard !table.isEmpty else { return amqp_empty_table }
        let entries = allocate(amqp_table_entry_t.self, count: table.count)
        for (index, (key, value)) in table.enumerated() {
            (entries + index).initialize(to: amqp_table_entry_t(key: bytes(key), value: field(value)))
        }
        return amqp_table_t(num_entries: CInt(table.count), entries: entries)
    }

    private func field(_ value: FieldValue) -> amqp_field_value_t {
        var field = amqp_field_value_t()
        func set(_ kind: amqp_field_value_kind_t) { field.kind = UInt8(kind.rawValue) }
        switch value {
        case .bool(let value):
            set(AMQP_FIELD_KIND_BOOLEAN)
            field.value.boolean = value ? 1 : 0
        case .int8(let value):
            set(AMQP_FIELD_KIND_I8)
            field.value.i8 = value
        case .int16(let value):
            set(AMQP_FIELD_KIND_I16)
            field.value.i16 = value
        case .int32(let value):
            set(AMQP_FIELD_KIND_I32)
            field.value.i32 = value
        case .int64(let value):
            set(AMQP_FIELD_KIND_I64)
            field.value.i64 = value
        case .uint8(let value):
            set(AMQP_FIELD_KIND_U8)
            field.value.u8 = value
        case .uint16(let value):
            set(AMQP_FIELD_KIND_U16)
            field.value.u16 = value
        case .uint32(let value):
            set(AMQP_FIELD_KIND_U32)
            field.value.u32 = value
        case .float(let value):
            set(AMQP_FIELD_KIND_F32)
            field.value.f32 = value
        case .double(let value):
            set(AMQP_FIELD_KIND_F64)
            field.value.f64 = value
        case .decimal(let scale, let value):
            set(AMQP_FIELD_KIND_DECIMAL)
            field.value.decimal = amqp_decimal_t(decimals: scale, value: value)
        case .string(let value):
            set(AMQP_FIELD_KIND_UTF8)
            field.value.bytes = bytes(value)
        case .bytes(let value):
            set(AMQP_FIELD_KIND_BYTES)
            field.value.bytes = value.withUnsafeBytes { copy($0) }
        case .timestamp(let value):
            set(AMQP_FIELD_KIND_TIMESTAMP)
            field.value.u64 = value
        case .array(let values):
            set(AMQP_FIELD_KIND_ARRAY)
            let entries = allocate(amqp_field_value_t.self, count: values.count)
            for (index, value) in values.enumerated() { (entries + index).initialize(to: self.field(value)) }
            field.value.array = amqp_array_t(num_entries: CInt(values.count), entries: entries)
        case .table(let value):
            set(AMQP_FIELD_KIND_TABLE)
            field.value.table = table(value)
        case .void:
            set(AMQP_FIELD_KIND_VOID)
        }
        return field
    }

    private func copy(_ source: UnsafeRawBufferPointer) -> amqp_bytes_t {
        guard let base = source.baseAddress, !source.isEmpty else { return amqp_empty_bytes }
        let bytes = allocate(UInt8.self, count: source.count)
        UnsafeMutableRawPointer(bytes).copyMemory(from: base, byteCount: source.count)
        return amqp_bytes_t(len: source.count, bytes: bytes)
    }

    private func allocate<Element>(_ type: Element.Type, count: Int) -> UnsafeMutablePointer<Element> {
        // The pool rounds every piece up to eight bytes, which suits all the types above.
        guard let memory = amqp_pool_alloc(pool, max(1, count) * MemoryLayout<Element>.stride) else {
            fatalError("out of memory")
        }
        return memory.bindMemory(to: type, capacity: max(1, count))
    }
}
