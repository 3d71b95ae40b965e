package io.ucp.formats.deepspeed.writing;

import io.ucp.formats.RefusedException;

import java.io.IOException;
import java.io.InputStream;
import java.io.UncheckedIOException;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Arrays;
import java.util.Collection;
import java.util.Comparator;
import java.util.LinkedHashMap;
import java.util.List;
import java.util.Map;
import java.util.Objects;
import java.util.Optional;
import java.util.function.Predicate;
import java.util.regex.Pattern;
import java.util.stream.Collectors;

/// The order in which a model makes its modules, which is that of `named_parameters` and so of the
/// parameters that its script gives the optimizer. DeepSpeed's flat states have no names: a
/// parameter's place among the others is all that says which is whose.
///
/// Known are the kinds of models in `models.txt`, by the names of their parameters. Source:
/// transformers `models/*/modeling_*.py` (releases in `models.txt`); Megatron-DeepSpeed
/// `megatron/model`.
public final class NamedParameters {
    /// In model states that are made of a state whose order no one says.
    public static final String UNKNOWN = "ucp_unknown_parameter_order";

    private static final String MODELS = "models.txt";
    private static final List<String> NUMBERED = List.of("N");
    private static final Predicate<String> NUMBER = Pattern.compile("\\d{1,9}").asMatchPredicate();

    private NamedParameters() {}

    /// The children of a class of modules.
    ///
    /// @param names in their order
    /// @param optional which of them not every model has
    private record Kind(List<String> names, List<String> optional) {
        static Kind parse(String line) {
            List<String> words = Arrays.asList(line.split(" "));
            return new Kind(
                    words.stream().map(Kind::bare).toList(),
                    words.stream().filter(w -> w.endsWith("?")).map(Kind::bare).toList());
        }

        private static String bare(String word) {
            return word.endsWith("?") ? word.substring(0, word.length() - 1) : word;
        }

        boolean fits(Collection<String> children) {
            if (names.equals(NUMBERED)) {
                return children.stream().allMatch(NUMBER);
            }
            return names.containsAll(children)
                    && names.stream().allMatch(n -> optional.contains(n) || children.contains(n));
        }
    }

    /// A module, by the names of what is in it; a parameter has nothing in it.
    private record Module(Map<String, Module> children) {
        static Module of(Collection<String> parameters) {
            Module root = new Module(new LinkedHashMap<>());
            for (String name : parameters) {
                Module at = root;
                for (String child : name.split("\\.", -1)) {
                    at = at.children.computeIfAbsent(child, _ -> new Module(new LinkedHashMap<>()));
                }
            }
            return root;
        }

        /// Parameters in order below a prefix; nothing where a module is of no kind.
        Optional<List<String>> parameters(String prefix, List<Kind> kinds) {
            Optional<List<String>> order = order(kinds);
            if (order.isEmpty()) {
                return Optional.empty();
            }
            List<String> all = new ArrayList<>();
            for (String name : order.get()) {
                Module child = Objects.requireNonNull(children.get(name));
                if (child.children.isEmpty()) {
                    all.add(prefix + name);
                    continue;
                }
                Optional<List<String>> below = child.parameters(prefix + name + ".", kinds);
                if (below.isEmpty()) {
                    return Optional.empty();
                }
                all.addAll(below.get());
            }
            return Optional.of(all);
        }

        private Optional<List<String>> order(List<Kind> kinds) {
            if (children.size() == 1) {
                return Optional.of(List.copyOf(children.keySet()));
            }
            if (children.keySet().stream().allMatch(NUMBER)) {
                return Optional.of(
                        children.keySet().stream()
                                .sorted(Comparator.comparingLong(Long::parseLong))
                                .toList());
            }
            List<List<String>> found =
                    kinds.stream()
                            .filter(k -> k.fits(children.keySet()))
                            .map(k -> k.names.stream().filter(children::containsKey).toList())
                            .distinct()
                            .toList();
            return found.size() == 1 ? Optional.of(found.getFirst()) : Optional.empty();
        }
    }

    /// @return nothing where the names are those of no known model, or of two that order them
    ///   otherwise
    public static Optional<List<String>> of(Collection<String> parameters) {
        Module model = Module.of(parameters);
        List<List<String>> orders =
                models().stream()
                        .filter(kinds -> kinds.getFirst().fits(model.children.keySet()))
                        .flatMap(kinds -> model.parameters("", kinds).stream())
                        .filter(order -> order.size() == parameters.size())
                        .distinct()
                        .toList();
        return orders.size() == 1 ? Optional.of(orders.getFirst()) : Optional.empty();
    }

    /// The optimizer's states of such parameters have no place that DeepSpeed finds them at.
    static RefusedException refusal(Collection<String> parameters) {
        return new RefusedException(
                "optimizer",
                "parameters of a model whose order no one says, which DeepSpeed needs to tell whose"
                        + " states are whose: %s, .."
                                .formatted(
                                        parameters.stream()
                                                .limit(3)
                                                .collect(Collectors.joining(", "))),
                "names of a model of transformers' or Megatron-DeepSpeed's",
                "--to deepspeed-universal, which has each parameter by its name; or"
                        + " --weights-only");
    }

    private static List<List<Kind>> models() {
        List<List<Kind>> models = new ArrayList<>();
        for (String paragraph : text().split("\n\n", -1)) {
            List<Kind> kinds =
                    paragraph.lines().filter(l -> !l.startsWith("#")).map(Kind::parse).toList();
            if (!kinds.isEmpty()) {
                models.add(kinds);
            }
        }
        return models;
    }

    private static String text() {
        try (InputStream in =
                Objects.requireNonNull(NamedParameters.class.getResourceAsStream(MODELS))) {
            return new String(in.readAllBytes(), StandardCharsets.UTF_8);
        } catch (IOException e) {
            throw new UncheckedIOException(e);
        }
    }
}
