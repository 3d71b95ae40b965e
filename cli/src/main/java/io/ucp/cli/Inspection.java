package io.ucp.cli;

import com.fasterxml.jackson.core.JsonGenerator;

import io.ucp.checkpoint.Parameter;
import io.ucp.checkpoint.StateHolding;
import io.ucp.convert.Described;
import io.ucp.formats.CarriedFile;
import io.ucp.formats.CheckpointIndex;
import io.ucp.formats.ParameterFacts;
import io.ucp.layout.Agreement;
import io.ucp.tensor.DType;

import java.io.IOException;
import java.io.PrintWriter;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;
import java.util.TreeMap;
import java.util.stream.Collectors;

/// What `ucp inspect` tells.
record Inspection(Described described) {
    private static final int CARRIED = 8;

    /// The states of one name, over all parameters.
    ///
    /// @param elements of whole parameters, padding included
    private record Total(int parameters, long elements, long bytes, Map<DType, Integer> dtypes) {
        Total with(ParameterFacts facts, DType dtype) {
            Map<DType, Integer> counted = new TreeMap<>(dtypes);
            counted.merge(dtype, 1, Integer::sum);
            long count = facts.shape().count();
            return new Total(
                    parameters + 1, elements + count, bytes + count * dtype.width(), counted);
        }
    }

    private List<ParameterFacts> parameters() {
        return described.inventory().parameters().stream().map(Parameter::facts).toList();
    }

    private Map<String, Total> totals() {
        Map<String, Total> totals = new TreeMap<>();
        for (ParameterFacts facts : parameters()) {
            facts.states()
                    .forEach(
                            (state, dtype) ->
                                    totals.put(
                                            state,
                                            totals.getOrDefault(state, new Total(0, 0, 0, Map.of()))
                                                    .with(facts, dtype)));
        }
        return totals;
    }

    void print(PrintWriter out, Terminal terminal, boolean all) {
        SourceReport.print(out, described);
        List<ParameterFacts> parameters = parameters();
        long real = parameters.stream().mapToLong(facts -> facts.realShape().count()).sum();
        long padded = parameters.stream().mapToLong(facts -> facts.shape().count()).sum();
        SourceReport.line(
                out,
                "holds",
                "%s, %s elements%s"
                        .formatted(
                                Quantity.count(parameters.size(), "parameter"),
                                Quantity.count(real),
                                padded == real
                                        ? ""
                                        : " (%s with padding)".formatted(Quantity.count(padded))));
        groups(out, parameters);
        SourceReport.findings(out, terminal, described.inventory().findings());
        SourceReport.notes(out, terminal, "note", notes());
        out.println();
        CheckpointIndex index = described.source().index();
        if (described.sharding().isPresent()) {
            new MeshPicture(index).print(out, terminal, all);
            out.println();
        }
        Table states = new Table("state", "parameters", "elements", "bytes", "dtype");
        totals().forEach(
                        (state, total) ->
                                states.row(
                                        state,
                                        Quantity.count(total.parameters()),
                                        Quantity.count(total.elements()),
                                        Quantity.bytes(total.bytes()),
                                        dtypes(total.dtypes())));
        states.print(out, terminal);
        out.println();
        ParameterReport.print(out, terminal, parameters, all);
        out.println();
        carried(out, terminal, all);
    }

    /// What a parameter's own record says, and what its copies are to each other where that is more
    /// than equal: whether they do differ takes reading them.
    private List<String> notes() {
        List<String> notes = new ArrayList<>();
        for (Parameter parameter : described.inventory().parameters()) {
            parameter.facts().notes().forEach(note -> notes.add(parameter.name() + ": " + note));
            parameter.states().values().stream()
                    .filter(holding -> holding.agreement() != Agreement.EQUAL)
                    .findFirst()
                    .ifPresent(holding -> notes.add(copies(parameter.name(), holding)));
        }
        return notes;
    }

    private static String copies(String name, StateHolding holding) {
        String taken = holding.agreement() == Agreement.AVERAGE ? "their mean" : "the first";
        return "%s: %d copies that may differ; %s is taken (`ucp verify` compares them)"
                .formatted(name, holding.copies().size(), taken);
    }

    private static String dtypes(Map<DType, Integer> dtypes) {
        return dtypes.entrySet().stream()
                .map(
                        dtype ->
                                dtypes.size() == 1
                                        ? dtype.getKey().torchName()
                                        : dtype.getKey().torchName() + " x " + dtype.getValue())
                .collect(Collectors.joining(", "));
    }

    /// Optimizer groups, where there are several.
    private static void groups(PrintWriter out, List<ParameterFacts> parameters) {
        Map<Integer, Long> groups =
                parameters.stream()
                        .filter(facts -> facts.optimizerGroup() >= 0)
                        .collect(
                                Collectors.groupingBy(
                                        ParameterFacts::optimizerGroup,
                                        TreeMap::new,
                                        Collectors.counting()));
        if (groups.size() > 1) {
            SourceReport.line(
                    out,
                    "groups",
                    groups.entrySet().stream()
                            .map(
                                    group ->
                                            "group %s: %s"
                                                    .formatted(
                                                            group.getKey(),
                                                            Quantity.count(
                                                                    group.getValue(), "parameter")))
                            .collect(Collectors.joining(", ")));
        }
    }

    private void carried(PrintWriter out, Terminal terminal, boolean all) {
        List<CarriedFile> files = described.inventory().carried();
        if (files.isEmpty()) {
            return;
        }
        Table table = new Table("carried", "role", "rank");
        files.stream()
                .limit(all ? files.size() : CARRIED)
                .forEach(
                        file ->
                                table.row(
                                        file.path(),
                                        file.role(),
                                        SourceReport.rank(
                                                file.at(), described.source().index().mesh())));
        table.print(out, terminal);
        String more =
                all || files.size() <= CARRIED
                        ? ""
                        : "and %s more; --all lists them. ".formatted(files.size() - CARRIED);
        out.println(terminal.faint(more + "--carried prints what is in them"));
    }

    void write(JsonGenerator json) throws IOException {
        SourceReport.write(json, described);
        Json.objects(
                json,
                "states",
                totals().entrySet(),
                (fields, total) -> {
                    fields.writeStringField("name", total.getKey());
                    fields.writeNumberField("parameters", total.getValue().parameters());
                    fields.writeNumberField("elements", total.getValue().elements());
                    fields.writeNumberField("bytes", total.getValue().bytes());
                    Json.object(
                            fields,
                            "dtypes",
                            dtypes -> {
                                for (Map.Entry<DType, Integer> dtype :
                                        total.getValue().dtypes().entrySet()) {
                                    dtypes.writeNumberField(
                                            dtype.getKey().torchName(), dtype.getValue());
                                }
                            });
                });
        Json.objects(json, "parameters", parameters(), ParameterReport::facts);
        Json.objects(
                json,
                "carried",
                described.inventory().carried(),
                (fields, file) -> {
                    fields.writeStringField("path", file.path());
                    fields.writeStringField("role", file.role());
                    CarriedReport.rank(fields, file);
                });
        Json.texts(json, "notes", notes());
        SourceReport.findings(json, described.inventory().findings());
    }
}
