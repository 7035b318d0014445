(* What Eva found, for tests/proof/eva.py: each statement and whether it was reached; each property that was not shown. *)

open Cil_types

let place (position, _) =
  Printf.sprintf "%s:%d"
    (Filepath.Normalized.to_pretty_string position.Filepath.pos_path)
    position.Filepath.pos_lnum

let on_one_line text =
  let spaced = String.map (function '\n' | '\t' -> ' ' | c -> c) text in
  String.concat " " (List.filter (( <> ) "") (String.split_on_char ' ' spaced))

let print_statements f =
  let print number s =
    Printf.printf "@statement\t%s\t%d\t%s\t%b\n" f.svar.vorig_name number
      (place (Cil_datatype.Stmt.loc s))
      (Eva.Results.is_reachable s)
  in
  List.iteri print f.sallstmts

let kind_of = function
  | Property.IPCodeAnnot { ica_ca = annotation; _ } -> (
      match Alarms.find annotation with
      | Some alarm -> Alarms.get_name alarm
      | None -> "assertion")
  | _ -> "precondition"

(* Of our functions, and of calls of those of the C library. What was never tried is not reached. *)
let print_unproven ip =
  match (ip, Property_status.get ip) with
  | (Property.IPCodeAnnot _ | Property.IPPropertyInstance _), Property_status.Best (verdict, _)
    when verdict <> Property_status.True ->
      let name =
        match Property.get_kf ip with Some f -> (Kernel_function.get_vi f).vorig_name | None -> "?"
      in
      Printf.printf "@alarm\t%s\t%s\t%s\t%s\n" name
        (place (Property.location ip))
        (kind_of ip)
        (on_one_line (Format.asprintf "%a" Property.pretty ip))
  | (Property.IPCodeAnnot _ | Property.IPPropertyInstance _), Property_status.Inconsistent _ ->
      Printf.printf "@alarm\t?\t%s\tinconsistent\t%s\n"
        (place (Property.location ip))
        (on_one_line (Format.asprintf "%a" Property.pretty ip))
  | _ -> ()

let () =
  Db.Main.extend (fun () ->
      Eva.Analysis.compute ();
      Globals.Functions.iter_on_fundecs print_statements;
      Property_status.iter print_unproven;
      Printf.printf "@done\n")
