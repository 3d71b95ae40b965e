package io.ucp.convert;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.Coordinate;
import io.ucp.formats.FlatGroup;
import io.ucp.formats.HeldTensor;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.Scalar;
import io.ucp.formats.TensorEntry;
import io.ucp.io.PlainFile;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.nio.file.Path;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.OptionalInt;
import java.util.OptionalLong;
import java.util.Set;

/// What the ranks of a made-up checkpoint hold, from a text with a line each:
///
/// ```text
/// mesh pp 2, dp 2, tp 2
/// set hidden 4
/// at pp 0, tp 0: weight a [4, 4]; exp_avg a [4, 4]
/// flat over dp at pp 0, tp 0: a [4, 4]; b [4]
/// flat each over dp at pp 1, tp 0: c [3]
/// flat 1 over edp at pp 0, ep 1, tp 0: e [3]
/// job tp 1, pp 1
/// ```
///
/// A tensor of its own is a file `AT/NAME.STATE`, a flat one `AT/GROUP.STATE` with the states fp32
/// and exp_avg, and the step beside it. Flat groups without a number count from 0 at each place.
final class RanksText {
    private final List<AxisDegree> mesh = new ArrayList<>();
    private final List<HeldTensor> tensors = new ArrayList<>();
    private final List<FlatGroup> groups = new ArrayList<>();
    private final Map<String, Long> numbers = new LinkedHashMap<>();
    private Map<String, Integer> job = Map.of();

    private RanksText() {}

    static RanksText read(List<String> lines) {
        RanksText text = new RanksText();
        lines.stream().filter(l -> !l.isBlank()).forEach(text::line);
        return text;
    }

    /// Degrees of the job that it becomes, of Megatron-LM where they say `etp`; none where it
    /// becomes whole parameters.
    Map<String, Integer> job() {
        return job;
    }

    private void line(String line) {
        String[] words = line.split(" ", 2);
        switch (words[0]) {
            case "mesh" -> numbers(words[1]).forEach((a, d) -> mesh.add(new AxisDegree(a, d)));
            case "set" -> {
                String[] number = words[1].split(" ", -1);
                numbers.put(number[0], Long.parseLong(number[1]));
            }
            case "job" -> job = numbers(words[1]);
            case "at" -> tensors(words[1]);
            case "flat" -> flat(words[1]);
            default -> throw new IllegalArgumentException(line);
        }
    }

    private static Map<String, Integer> numbers(String text) {
        Map<String, Integer> numbers = new LinkedHashMap<>();
        for (String part : text.split(", ", -1)) {
            String[] words = part.split(" ", -1);
            numbers.put(words[0], Integer.parseInt(words[1]));
        }
        return numbers;
    }

    private static Coordinate place(String text) {
        return new Coordinate(numbers(text));
    }

    private static Shape shape(String text) {
        String extents = text.substring(text.indexOf('[') + 1, text.indexOf(']'));
        return Shape.of(
                Arrays.stream(extents.split(", ", -1)).mapToLong(Long::parseLong).toArray());
    }

    private void tensors(String line) {
        String[] halves = line.split(": ", -1);
        for (String tensor : halves[1].split("; ", -1)) {
            String[] words = tensor.split(" ", 3);
            tensors.add(
                    new HeldTensor(
                            words[1],
                            words[0],
                            place(halves[0]),
                            entry(halves[0] + "/" + words[1] + "." + words[0], shape(words[2]))));
        }
    }

    private static TensorEntry entry(String path, Shape shape) {
        return TensorEntry.dense(
                new PlainFile(Path.of(path), shape.count() * 4), 0, DType.FLOAT32, shape);
    }

    private void flat(String line) {
        String[] halves = line.split(": ", -1);
        boolean each = halves[0].startsWith("each ");
        String first = halves[0].substring(0, halves[0].indexOf(' '));
        String[] words = halves[0].substring(halves[0].indexOf("over ") + 5).split(" at ", -1);
        Coordinate at = place(words[1]);
        List<FlatGroup.Member> members = new ArrayList<>();
        for (String member : halves[1].split("; ", -1)) {
            String name = member.substring(0, member.indexOf(' '));
            members.add(new FlatGroup.Member(name, shape(member)));
        }
        int number =
                first.matches("\\d+")
                        ? Integer.parseInt(first)
                        : (int) groups.stream().filter(g -> g.at().equals(at)).count();
        groups.add(
                new FlatGroup(
                        number,
                        number,
                        at,
                        words[0],
                        each,
                        members,
                        parts(number, at, words[0], each, members)));
    }

    private List<FlatGroup.Part> parts(
            int number, Coordinate at, String axis, boolean each, List<FlatGroup.Member> members) {
        int degree =
                mesh.stream()
                        .filter(a -> a.axis().equals(axis))
                        .mapToInt(AxisDegree::degree)
                        .findFirst()
                        .orElse(1);
        long extent =
                each
                        ? members.stream()
                                .mapToLong(m -> Math.ceilDiv(m.shape().count(), degree))
                                .sum()
                        : Math.ceilDiv(
                                        members.stream().mapToLong(m -> m.shape().count()).sum(),
                                        2L * degree)
                                * 2;
        List<FlatGroup.Part> parts = new ArrayList<>();
        for (int p = 0; p < degree; p++) {
            Coordinate place = at.with(axis, p);
            Map<String, TensorEntry> states = new LinkedHashMap<>();
            for (String state : List.of("fp32", "exp_avg")) {
                String path = "%s/%d.%s".formatted(place, number, state);
                states.put(state, entry(path, Shape.of(extent)));
            }
            Scalar step = new Scalar(DType.FLOAT32, new byte[4]);
            parts.add(new FlatGroup.Part(place, extent, states, Map.of("step", step)));
        }
        return parts;
    }

    CheckpointIndex index() {
        return new CheckpointIndex(
                "made",
                Path.of("made"),
                "made",
                OptionalLong.of(3),
                1,
                mesh,
                tensors,
                groups,
                List.of(),
                new LayoutHints(
                        Optional.empty(),
                        List.of(),
                        OptionalLong.empty(),
                        Map.of(),
                        Set.of(),
                        Set.of(),
                        numbers,
                        Optional.empty()),
                List.of(),
                new Origin("made", "made", 1, mesh, Optional.empty()),
                List.of());
    }

    OptionalInt degree(String axis) {
        Integer degree = job.get(axis);
        return degree == null ? OptionalInt.empty() : OptionalInt.of(degree);
    }
}
