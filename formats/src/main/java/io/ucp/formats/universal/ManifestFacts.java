package io.ucp.formats.universal;

import io.ucp.formats.AxisDegree;
import io.ucp.formats.LayoutHints;
import io.ucp.formats.Origin;
import io.ucp.formats.ParameterFacts.Split;
import io.ucp.formats.ParameterFacts.SplitKind;
import io.ucp.io.MalformedFileException;
import io.ucp.tensor.DType;
import io.ucp.tensor.Shape;

import java.util.ArrayList;
import java.util.Arrays;
import java.util.HashMap;
import java.util.List;
import java.util.Map;
import java.util.Optional;
import java.util.Set;

/// What a manifest says in one JSON object, believing nothing of it.
final class ManifestFacts {
    private ManifestFacts() {}

    /// How a parameter was cut.
    static Split split(JsonObject json) throws MalformedFileException {
        return new Split(
                constant(json, "kind", SplitKind.values()),
                json.integer("dim", 0, Integer.MAX_VALUE),
                Arrays.stream(json.numbers("parts")).boxed().toList(),
                json.lists("subShape"),
                json.truth("vocabulary"),
                json.optionalNumber("experts"));
    }

    /// Of the checkpoint that it was made from.
    static Origin origin(JsonObject json) throws MalformedFileException {
        List<AxisDegree> mesh = new ArrayList<>();
        for (JsonObject axis : json.objects("mesh")) {
            mesh.add(
                    new AxisDegree(
                            axis.text("axis"), axis.integer("degree", 1, Integer.MAX_VALUE)));
        }
        return new Origin(
                json.text("format"),
                json.text("tag"),
                json.integer("stage", -1, 3),
                mesh,
                json.optionalText("spec"));
    }

    /// What that said of its layout.
    static LayoutHints hints(JsonObject json) throws MalformedFileException {
        List<LayoutHints.Pattern> patterns = new ArrayList<>();
        for (JsonObject pattern : json.objects("patterns")) {
            patterns.add(
                    new LayoutHints.Pattern(
                            constant(pattern, "kind", LayoutHints.Kind.values()),
                            pattern.text("regex"),
                            pattern.integer("dim", Integer.MIN_VALUE, Integer.MAX_VALUE),
                            pattern.lists("subShape"),
                            pattern.lists("widths")));
        }
        Map<String, Long> numbers = new HashMap<>();
        JsonObject jsonNumbers = json.object("numbers");
        for (String name : jsonNumbers.names()) {
            numbers.put(name, jsonNumbers.number(name));
        }
        return new LayoutHints(
                json.optionalText("version"),
                patterns,
                json.optionalNumber("vocabularyRows"),
                json.textsByName("aliases"),
                Set.copyOf(json.texts("frozen")),
                Set.copyOf(json.texts("buffers")),
                numbers);
    }

    /// A path that stays in the folder.
    static String inside(JsonObject json, String name) throws MalformedFileException {
        String path = json.text(name);
        if (!PathNames.staysInside(path)) {
            throw json.wrong(name, "\"" + path + "\"", "a path inside the checkpoint's folder");
        }
        return path;
    }

    static Shape shape(JsonObject json, String name) throws MalformedFileException {
        long[] dims = json.numbers(name);
        try {
            return Shape.of(dims);
        } catch (IllegalArgumentException | ArithmeticException _) {
            throw json.wrong(name, Arrays.toString(dims), "extents of a tensor");
        }
    }

    static DType dtype(JsonObject json) throws MalformedFileException {
        String name = json.text("dtype");
        Optional<DType> dtype = DType.ofTorchName(name);
        if (dtype.isEmpty()) {
            throw json.wrong("dtype", "\"" + name + "\"", "the name of a torch dtype");
        }
        return dtype.get();
    }

    static long atLeastZero(JsonObject json, String name) throws MalformedFileException {
        long value = json.number(name);
        if (value < 0) {
            throw json.wrong(name, Long.toString(value), "0 or more");
        }
        return value;
    }

    private static <E extends Enum<E>> E constant(JsonObject json, String name, E[] values)
            throws MalformedFileException {
        String word = json.text(name);
        for (E value : values) {
            if (ManifestText.word(value).equals(word)) {
                return value;
            }
        }
        List<String> words = Arrays.stream(values).map(ManifestText::word).toList();
        throw json.wrong(name, "\"" + word + "\"", "one of " + String.join(", ", words));
    }
}
