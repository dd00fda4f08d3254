%% Random supervision trees and events, carried out by OTP's own supervisor: what it starts and stops is printed, in the
%% form that src/supervision/otp_test.cpp reads.
%%
%%   erlc otp_vectors.erl && erl +S 1:1 -noshell -s otp_vectors main SEED CASES
-module(otp_vectors).
-behaviour(supervisor).
-export([main/1, init/1, start_worker/3, start_supervisor/2]).

main([Seed, Cases]) ->
    logger:set_primary_config(level, none),
    process_flag(trap_exit, true),
    rand:seed(exsss, number(Seed)),
    ets:new(world, [named_table, public]),
    register(tracer, spawn_link(fun() -> trace([]) end)),
    io:format("# Made by tests/interop/otp/otp_vectors.erl with OTP ~s, seed ~w.~n",
              [erlang:system_info(otp_release), number(Seed)]),
    [run(N) || N <- lists:seq(1, number(Cases))],
    halt(0).

number(Atom) -> list_to_integer(atom_to_list(Atom)).

%% What the workers do, in the order in which they do it.
trace(Lines) ->
    receive
        {log, From, Line} -> From ! logged, trace([Line | Lines]);
        {watch, From, Id, Pid} -> put(monitor(process, Pid), Id), From ! logged, trace(Lines);
        {'DOWN', Monitor, process, _, killed} -> trace(["kill " ++ get(Monitor) | Lines]);
        {'DOWN', _, process, _, _} -> trace(Lines);
        {count, From} -> From ! {count, length(Lines)}, trace(Lines);
        {take, From} -> From ! {lines, lists:reverse(Lines)}, trace([])
    end.

log(Line) -> tracer ! {log, self(), Line}, receive logged -> ok end.

start_worker(Id, Stubborn, _) ->
    Failures = ets:lookup_element(world, {fail, Id}, 2),
    if Failures > 0 ->
            ets:insert(world, {{fail, Id}, Failures - 1}),
            log("fail " ++ Id),
            {error, refused};
       true ->
            Pid = spawn_link(fun() -> process_flag(trap_exit, true), worker(Id, Stubborn) end),
            tracer ! {watch, self(), Id, Pid},
            receive logged -> ok end,
            ets:insert(world, {{pid, Id}, Pid}),
            log("start " ++ Id),
            {ok, Pid}
    end.

worker(Id, Stubborn) ->
    receive
        {'EXIT', _, _} ->
            log("stop " ++ Id),
            if Stubborn -> worker(Id, Stubborn); true -> exit(shutdown) end;
        {die, Reason} -> exit(Reason)
    end.

start_supervisor(Flags, Children) ->
    Started = supervisor:start_link(?MODULE, {Flags, Children}),
    case Started of
        {ok, Pid} -> ets:insert(world, {{nested, Pid}, Pid});
        _ -> ok
    end,
    Started.

init({Flags, Children}) -> {ok, {Flags, Children}}.

%% One case.
run(N) ->
    ets:delete_all_objects(world),
    Flags = flags(),
    Ids = lists:sublist(["a", "b", "c", "d"], rand:uniform(4)),
    Children = [child(Id, Flags) || Id <- Ids],
    io:format("case ~w~n", [N]),
    print_child({supervisor, "/", permanent, Flags, Children}),
    Specs = [spec(Child) || Child <- Children],
    Workers = lists:append([names(Child) || Child <- Children]) ++ ["e"],
    [ets:insert(world, {{fail, Id}, 0}) || Id <- Workers],
    maybe_fail(Workers, 12),
    io:format("do start~n"),
    Started = (catch supervisor:start_link(?MODULE, {Flags, Specs})),
    case Started of
        {ok, Root} -> steps(Root, Workers, Ids, Flags, 2 + rand:uniform(5));
        _ -> receive {'EXIT', _, _} -> ok after 100 -> ok end, print(), io:format("> over~n")
    end.

steps(Root, _, _, _, 0) -> print(), step(Root, "stop", fun() -> exit(Root, shutdown) end), over(Root, true);
steps(Root, Workers, Ids, Flags, N) ->
    print(),
    maybe_fail(Workers, 3),
    Id = pick(Workers),
    Child = pick(Ids),
    case rand:uniform(12) of
        1 -> step(Root, "terminate " ++ Child, fun() -> catch supervisor:terminate_child(Root, Child) end);
        2 -> step(Root, "restart " ++ Child, fun() -> catch supervisor:restart_child(Root, Child) end);
        3 -> step(Root, "remove " ++ Child,
                  fun() -> catch supervisor:terminate_child(Root, Child),
                           catch supervisor:delete_child(Root, Child) end);
        4 -> {worker, "e", Map, Stubborn} = worker_child("e", Flags),
             step(Root, "add " ++ text({worker, "e", Map, Stubborn}),
                  fun() -> catch supervisor:start_child(Root, spec({worker, "e", Map, Stubborn})) end);
        K when K =< 8 -> step(Root, "crash " ++ Id, fun() -> die(Id, crash) end);
        9 -> step(Root, "shutdown " ++ Id, fun() -> die(Id, {shutdown, done}) end);
        10 -> step(Root, "shutdown " ++ Id, fun() -> die(Id, shutdown) end);
        _ -> step(Root, "normal " ++ Id, fun() -> die(Id, normal) end)
    end,
    case over(Root, false) of
        true -> ok;
        false -> steps(Root, Workers, Ids, Flags, N - 1)
    end.

step(Root, Text, What) -> io:format("do ~s~n", [Text]), What(), settle(Root, -1, 0).

die(Id, Reason) ->
    case ets:lookup(world, {pid, Id}) of
        [{_, Pid}] ->
            Monitor = monitor(process, Pid),
            Pid ! {die, Reason},
            receive {'DOWN', Monitor, process, _, _} -> ok end;
        [] -> ok
    end.

%% Until three rounds in a row bring nothing more. A supervisor answers once it has done what it was doing.
settle(_, _, 3) -> ok;
settle(Root, Count, Rounds) ->
    catch supervisor:which_children(Root),
    [catch supervisor:which_children(Nested) || [Nested] <- ets:match(world, {{nested, '_'}, '$1'})],
    timer:sleep(1),
    tracer ! {count, self()},
    receive
        {count, Count} -> settle(Root, Count, Rounds + 1);
        {count, More} -> settle(Root, More, 0)
    end.

over(Root, Wait) ->
    receive {'EXIT', Root, _} -> print(), io:format("> over~n"), true
    after if Wait -> 5000; true -> 0 end -> false
    end.

print() ->
    tracer ! {take, self()},
    receive {lines, Lines} -> [io:format("> ~s~n", [Line]) || Line <- Lines] end.

maybe_fail(Workers, OneIn) ->
    case rand:uniform(OneIn) of
        1 -> Id = pick(Workers),
             Times = rand:uniform(2),
             ets:insert(world, {{fail, Id}, Times}),
             io:format("do fail ~s ~w~n", [Id, Times]);
        _ -> ok
    end.

pick(List) -> lists:nth(rand:uniform(length(List)), List).

flags() ->
    #{strategy => pick([one_for_one, one_for_all, rest_for_one]), intensity => rand:uniform(4) - 1, period => 3600,
      auto_shutdown => pick([never, never, any_significant, all_significant])}.

print_child({supervisor, Path, Restart, Flags, Children}) ->
    #{strategy := Strategy, intensity := Intensity, period := Period, auto_shutdown := Auto} = Flags,
    io:format("supervisor ~s ~s ~s ~w ~w ~s~n", [Path, Restart, Strategy, Intensity, Period, Auto]),
    [print_child(Child) || Child <- Children];
print_child(Worker) -> io:format("worker ~s~n", [text(Worker)]).

child(Id, Flags) ->
    case rand:uniform(5) of
        1 ->
            Own = flags(),
            Children = [worker_child(Id ++ "/" ++ Name, Own) || Name <- lists:sublist(["x", "y", "z"], rand:uniform(3))],
            {supervisor, Id, pick([permanent, permanent, temporary]), Own, Children};
        _ -> worker_child(Id, Flags)
    end.

worker_child(Id, #{auto_shutdown := Auto}) ->
    Restart = pick([permanent, permanent, transient, transient, temporary]),
    Significant = Auto =/= never andalso Restart =/= permanent andalso rand:uniform(2) =:= 1,
    {Shutdown, Stubborn} = pick([{5000, false}, {5000, false}, {infinity, false}, {brutal_kill, false}, {20, true}]),
    {worker, Id, #{restart => Restart, significant => Significant, shutdown => Shutdown}, Stubborn}.

text({worker, Id, #{restart := R, significant := S, shutdown := Time}, Stubborn}) ->
    lists:flatten(io_lib:format("~s ~s ~w ~w ~w", [Id, R, S, Time, Stubborn])).

spec({worker, Id, Map, Stubborn}) ->
    Name = lists:last(string:split(Id, "/")),
    Key = case string:find(Id, "/") of nomatch -> Id; _ -> Name end,
    Map#{id => Key, start => {?MODULE, start_worker, [Id, Stubborn, none]}};
spec({supervisor, Id, Restart, Flags, Children}) ->
    #{id => Id, restart => Restart, type => supervisor,
      start => {?MODULE, start_supervisor, [Flags, [spec(Child) || Child <- Children]]}}.

names({worker, Id, _, _}) -> [Id];
names({supervisor, _, _, _, Children}) -> [Id || {worker, Id, _, _} <- Children].
