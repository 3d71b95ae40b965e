package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.formats.ParameterFacts;
import io.ucp.formats.Scalar;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.io.IOException;
import java.io.PrintWriter;
import java.nio.ByteBuffer;
import java.nio.ByteOrder;
import java.util.ArrayList;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Locale;
import java.util.LongSummaryStatistics;
import java.util.Map;
import java.util.TreeSet;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// The parameters of a checkpoint as a table; those that differ by numbers in their names only (the
/// layers) on one line.
final class ParameterReport {
    /// A part of a name that is a number; without leading zeros, so that it can be shown again.
    private static final Pattern NUMBER = Pattern.compile("(?<!\\w)(0|[1-9]\\d{0,8})(?!\\w)");

    private ParameterReport() {}

    /// Parameters that differ in the numbers in their names only.
    ///
    /// @param pattern the name with `#` for each number
    private record Family(String pattern, Shape shape, Shape real, String states, String kind) {
        static Family of(ParameterFacts facts) {
            return new Family(
                    NUMBER.matcher(facts.name()).replaceAll("#"),
                    facts.shape(),
                    facts.realShape(),
                    statesOf(facts),
                    kindOf(facts));
        }
    }

    static void print(
            PrintWriter out, Terminal terminal, List<ParameterFacts> parameters, boolean all) {
        Map<Family, List<ParameterFacts>> families = new LinkedHashMap<>();
        for (ParameterFacts facts : parameters) {
            families.computeIfAbsent(Family.of(facts), _ -> new ArrayList<>()).add(facts);
        }
        List<String> states = families.keySet().stream().map(Family::states).distinct().toList();
        if (states.size() == 1 && parameters.size() > 1) {
            out.println("every parameter has " + states.getFirst());
        }
        Table table =
                new Table("parameter", "", "shape", "real", states.size() == 1 ? "" : "states", "");
        for (Map.Entry<Family, List<ParameterFacts>> family : families.entrySet()) {
            if (all) {
                for (ParameterFacts facts : family.getValue()) {
                    row(table, facts.name(), "", family.getKey(), states.size() == 1);
                }
            } else {
                row(
                        table,
                        name(family.getValue()),
                        family.getValue().size() == 1 ? "" : "x " + family.getValue().size(),
                        family.getKey(),
                        states.size() == 1);
            }
        }
        table.print(out, terminal);
        if (!all && families.size() < parameters.size()) {
            out.println(terminal.faint("--all lists each"));
        }
    }

    private static void row(Table table, String name, String count, Family family, boolean alike) {
        boolean padded = !family.shape().equals(family.real());
        table.row(
                name,
                count,
                family.shape(),
                padded ? family.real() : "",
                alike ? "" : family.states(),
                family.kind());
    }

    /// `{2-5}.input_layernorm.weight`: every number that varies as the range of its values.
    private static String name(List<ParameterFacts> members) {
        String[] words = NUMBER.split(members.getFirst().name(), -1);
        List<List<Long>> numbers = members.stream().map(ParameterReport::numbers).toList();
        StringBuilder name = new StringBuilder(words[0]);
        for (int i = 1; i < words.length; i++) {
            int at = i - 1;
            LongSummaryStatistics range =
                    numbers.stream().mapToLong(each -> each.get(at)).summaryStatistics();
            boolean varies = range.getMin() < range.getMax();
            name.append(
                            varies
                                    ? "{%s-%s}".formatted(range.getMin(), range.getMax())
                                    : String.valueOf(range.getMin()))
                    .append(words[i]);
        }
        return name.toString();
    }

    /// The numbers of layers and experts in a name.
    private static List<Long> numbers(ParameterFacts facts) {
        return NUMBER.matcher(facts.name())
                .results()
                .map(each -> Long.valueOf(each.group()))
                .toList();
    }

    /// `float32: exp_avg exp_avg_sq fp32; bfloat16: weight; step`.
    private static String statesOf(ParameterFacts facts) {
        Map<DType, List<String>> byType = new LinkedHashMap<>();
        facts.states()
                .forEach(
                        (state, dtype) ->
                                byType.computeIfAbsent(dtype, _ -> new ArrayList<>()).add(state));
        List<String> texts = new ArrayList<>();
        byType.forEach(
                (dtype, names) ->
                        texts.add(
                                "%s: %s"
                                        .formatted(
                                                dtype.torchName(),
                                                names.stream()
                                                        .sorted()
                                                        .collect(Collectors.joining(" ")))));
        if (!facts.scalars().isEmpty()) {
            texts.add(String.join(" ", new TreeSet<>(facts.scalars().keySet())));
        }
        return String.join("; ", texts);
    }

    private static String kindOf(ParameterFacts facts) {
        String tied = facts.aliases().isEmpty() ? "" : "tied";
        String kind = facts.buffer() ? "buffer" : facts.trainable() ? "" : "frozen";
        return kind.isEmpty() || tied.isEmpty() ? kind + tied : kind + ", " + tied;
    }

    /// The fields of one parameter.
    static void facts(JsonGenerator json, ParameterFacts facts) throws IOException {
        json.writeStringField("name", facts.name());
        Json.numbers(json, "shape", facts.shape().dims());
        Json.numbers(json, "real_shape", facts.realShape().dims());
        Json.object(
                json,
                "states",
                states -> {
                    for (Map.Entry<String, DType> state : facts.states().entrySet()) {
                        states.writeStringField(state.getKey(), state.getValue().torchName());
                    }
                });
        Json.object(
                json,
                "scalars",
                scalars -> {
                    for (Map.Entry<String, Scalar> scalar : facts.scalars().entrySet()) {
                        scalars.writeFieldName(scalar.getKey());
                        scalar(scalars, scalar.getValue());
                    }
                });
        Json.object(
                json,
                "split",
                split -> {
                    split.writeStringField(
                            "kind", facts.split().kind().name().toLowerCase(Locale.ROOT));
                    split.writeNumberField("dim", facts.split().dim());
                    Json.numbers(
                            split,
                            "parts",
                            facts.split().parts().stream().mapToLong(Long::longValue).toArray());
                    split.writeBooleanField("vocabulary", facts.split().vocabulary());
                });
        json.writeBooleanField("trainable", facts.trainable());
        json.writeBooleanField("buffer", facts.buffer());
        json.writeNumberField("optimizer_group", facts.optimizerGroup());
        Json.texts(json, "aliases", facts.aliases());
        Json.texts(json, "digests", ParameterFacts.ofRealElements(facts.digests()));
        Json.texts(json, "notes", facts.notes());
    }

    private static void scalar(JsonGenerator json, Scalar scalar) throws IOException {
        Json.object(
                json,
                fields -> {
                    fields.writeStringField("dtype", scalar.dtype().torchName());
                    fields.writeStringField("value", number(scalar));
                });
    }

    /// The number where Java has the type, else its bytes.
    static String number(Scalar scalar) {
        ByteBuffer bytes = ByteBuffer.wrap(scalar.bytes()).order(ByteOrder.LITTLE_ENDIAN);
        return switch (scalar.dtype()) {
            case FLOAT64 -> String.valueOf(bytes.getDouble());
            case FLOAT32 -> String.valueOf(bytes.getFloat());
            case FLOAT16 -> String.valueOf(Float.float16ToFloat(bytes.getShort()));
            case BFLOAT16 -> String.valueOf(Float.intBitsToFloat(bytes.getShort() << 16));
            case INT64 -> String.valueOf(bytes.getLong());
            case INT32 -> String.valueOf(bytes.getInt());
            case INT16 -> String.valueOf(bytes.getShort());
            case INT8 -> String.valueOf(bytes.get());
            case UINT8 -> String.valueOf(Byte.toUnsignedInt(bytes.get()));
            case BOOL -> String.valueOf(bytes.get() != 0);
            case FLOAT8_E4M3FN,
                    FLOAT8_E4M3FNUZ,
                    FLOAT8_E5M2,
                    FLOAT8_E5M2FNUZ,
                    FLOAT8_E8M0FNU,
                    FLOAT4_E2M1FN_X2,
                    UINT64,
                    UINT32,
                    UINT16,
                    COMPLEX32,
                    COMPLEX64,
                    COMPLEX128,
                    QINT8,
                    QUINT8,
                    QINT32,
                    QUINT4X2,
                    QUINT2X4 ->
                    scalar.toString();
        };
    }
}
