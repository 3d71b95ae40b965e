package io.ucp.bind;

import io.ucp.formats.SavedPipeline;
import io.ucp.layout.ImpossibleLayoutException;

import java.util.List;
import java.util.Optional;
import java.util.stream.Stream;

/// Where a pipeline is cut: as it is asked for; else where as many stages were, as they were; else
/// by the method of the job that saved it, which is `type:transformer` where it names none, as of
/// Megatron-DeepSpeed.
///
/// @param parts first module of each stage, then the number of modules
/// @param note what a user may not expect of it
record PipelineCut(List<Integer> parts, Optional<String> note) {
    private static final String USUAL = "type:transformer";
    private static final String ANEW = "--partition or --stages cut them otherwise";

    /// @param before stages of the job that saved the state
    /// @throws ImpossibleLayoutException for stages that the model cannot have
    static PipelineCut of(
            PipelineModules modules,
            SavedPipeline saved,
            int before,
            int stages,
            TargetRequest request) {
        if (request.stages().isPresent()) {
            return said(modules.listed(request.stages().get(), stages));
        }
        if (stages == 1) {
            return said(List.of(0, Integer.MAX_VALUE));
        }
        if (request.partition().isPresent()) {
            return said(modules.parts(stages, request.partition().get()));
        }
        Optional<List<Integer>> own =
                before > 1 ? modules.held(saved.stages(), before) : Optional.empty();
        String method = saved.method().orElse(USUAL);
        if (own.isEmpty()) {
            return anew(modules, saved, before, stages);
        }
        boolean follows =
                by(modules, before, method).filter(p -> modules.same(p, own.get())).isPresent();
        if (stages == before) {
            return new PipelineCut(
                    own.get(),
                    follows
                            ? Optional.empty()
                            : Optional.of(
                                    "pipeline stages stay as they are in the source, %s, which is not how %s cuts%s; %s"
                                            .formatted(
                                                    modules.described(own.get()),
                                                    method,
                                                    by(modules, before, method)
                                                            .map(
                                                                    p ->
                                                                            " ("
                                                                                    + modules
                                                                                            .described(
                                                                                                    p)
                                                                                    + ")")
                                                            .orElse(""),
                                                    ANEW)));
        }
        PipelineCut cut = anew(modules, saved, before, stages);
        return follows
                ? cut
                : new PipelineCut(
                        cut.parts,
                        Optional.of(
                                "pipeline stages are cut by %s, %s; the source's own, %s, were not cut so%s; %s"
                                        .formatted(
                                                method,
                                                modules.described(cut.parts),
                                                modules.described(own.get()),
                                                Stream.of("uniform", "parameters", USUAL)
                                                        .filter(
                                                                m ->
                                                                        by(modules, before, m)
                                                                                .filter(
                                                                                        p ->
                                                                                                modules
                                                                                                        .same(
                                                                                                                p,
                                                                                                                own
                                                                                                                        .get()))
                                                                                .isPresent())
                                                        .findFirst()
                                                        .map(m -> ", but as %s cuts".formatted(m))
                                                        .orElse(""),
                                                ANEW)));
    }

    /// By the job's own method.
    private static PipelineCut anew(
            PipelineModules modules, SavedPipeline saved, int before, int stages) {
        String method = saved.method().orElse(USUAL);
        List<Integer> parts = modules.parts(stages, method);
        if (stages == before) {
            return new PipelineCut(
                    parts,
                    Optional.of(
                            "the source does not say which of its %d pipeline stages held what: they are cut by %s, %s; %s"
                                    .formatted(before, method, modules.described(parts), ANEW)));
        }
        return new PipelineCut(
                parts,
                saved.method()
                        .map(
                                m ->
                                        "pipeline stages are cut by %s, as the arguments of the source's job say, %s; %s"
                                                .formatted(m, modules.described(parts), ANEW)));
    }

    private static PipelineCut said(List<Integer> parts) {
        return new PipelineCut(parts, Optional.empty());
    }

    /// As a method cuts the model, where it can.
    private static Optional<List<Integer>> by(PipelineModules modules, int stages, String method) {
        try {
            return Optional.of(modules.parts(stages, method));
        } catch (ImpossibleLayoutException _) {
            return Optional.empty();
        }
    }
}
