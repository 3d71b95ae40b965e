/**
 * The universal checkpoint language. Every decision needs one token of look-ahead, so that a syntax error is found at the
 * token that a person would point at. After an error the parser
 * goes on with the next statement, clause, entry or step (see Recovery).
 */
grammar Ucl;

file : version statement* EOF ;
version : UCL versionNumber ;
versionNumber : INT ;

statement
    : importing
    | specName
    | mesh
    | axisProduct
    | let
    | states
    | cast
    | matching
    | matchRule
    ;

importing : IMPORT (STRING | name) ;
specName : SPEC name ;
mesh : MESH '(' meshAxis (',' meshAxis)* ')' ;
meshAxis : axisName degree? ('=' '(' meshFactor (',' meshFactor)* ')')? ;
meshFactor : axisName degree? ;
degree : INT | '(' expression ')' ;
axisProduct : AXIS axisName '=' '(' axisName (',' axisName)* ')' ;
let : LET name '=' expression ;
states : STATES name '{' (stateEntry | ';')* '}' ;
stateEntry : stateName (',' stateName)* (':' stateClause+)? ;
stateClause : scalar | unique | replicate | average | shard | flatten ;
cast : CAST stateName TO dtype ;
matching : FIRST MATCH WINS | EVERY RULE OPTIONAL ;

matchRule : (OPTIONAL | DEFAULT)* (param | group | rename | drop | frozenRule) ;
param : PARAM patterns declaredShape? ('{' (clause | ';')* '}')? ;
declaredShape : ':' shape ;
group : GROUP name '{' (groupMember | ',' | ';')* '}' groupTail* ;
groupMember : pattern ;
groupTail : ORDER (CHECKPOINT | LISTED) | withStates | flatten ;
rename : RENAME targets '<->' targets ('{' (renameStep | ';')* '}')? ;
drop : DROP patterns ;
frozenRule : FROZEN patterns ;

clause
    : unique
    | replicate
    | average
    | shard
    | fuse
    | notContiguous
    | view
    | expert
    | stage
    | tied
    | flatten
    | pad
    | frozen
    | withStates
    | cast
    ;

scalar : SCALAR ;
unique : UNIQUE ;
replicate : REPLICATE over (AT '(' position (',' position)* ')')? (TAKE FIRST)? ;
position : FIRST | LAST | INT ;
average : AVERAGE over ;
shard : SHARD (DIM dimension over widths? | EACH over partWidths?) ;
notContiguous : SHARD_NC (DIM dimension parts | EACH over partWidths?) ;
widths : WIDTHS list | CEIL | BALANCED ;
partWidths : WIDTHS '(' onePartWidths (',' onePartWidths)* ')' | CEIL | BALANCED ;
onePartWidths : partName ':' list ;
fuse : FUSE DIM dimension parts ;
parts : '(' part (',' part)* ')' ;
part : partName (':' expression)? ;
view : VIEW shape ;
expert : EXPERT captureName over LOCAL? ;
stage
    : STAGE (FIRST over | LAST over | INT over | WITH target | captureName over stageOption*)
    ;
stageOption : UNIFORM | STAGES list | VIRTUAL expression | RENUMBERED ;
tied : TIED TO target ;
flatten : FLATTEN EACH? over ;
pad : PAD DIM dimension (FROM expression)? TO MULTIPLE expression ;
frozen : FROZEN ;
withStates : WITH STATES name ;

renameStep
    : view
    | SPLIT DIM dimension parts
    | JOIN DIM dimension parts
    | STACK captureName '[' expression ']'
    | UNSTACK captureName '[' expression ']'
    | TRANSPOSE ('(' dimension ',' dimension ')')?
    | PERMUTE '(' dimension (',' dimension)* ')'
    | FOR partName (',' partName)* '{' (renameStep | ';')* '}'
    ;

over : OVER axisName ;
patterns : pattern (',' pattern)* ;
pattern : STRING | REGEX ;
targets : target (',' target)* ;
target : STRING ;
shape : '[' (expression (',' expression)*)? ']' ;
list : '[' expression (',' expression)* ']' ;

expression : product (sumOperator product)* ;
product : operand (productOperator operand)* ;
operand : INT | name | '(' expression ')' ;
sumOperator : '+' | '-' ;
productOperator : '*' | '/' ;

dimension : INT ;
axisName : NAME ;
stateName : NAME ;
captureName : NAME ;
partName : NAME ;
dtype : NAME ;
name : NAME ;

// Words. A token is named as the canonical word; the paper's words (v3, then v1) are the same token.
UNIQUE : 'unique' | 'Unique' | 'unique_params' ;
REPLICATE : 'replicate' | 'Replicate' | 'replicated_params' ;
AVERAGE : 'average' | 'Partial' | 'params_to_average' ;
SHARD : 'shard' | 'Shard-V' | 'Shard-H' | 'Shard-Hy' | 'fragment_params' ;
SHARD_NC : 'Shard-NC' ;
PAD : 'pad' | 'StripPad' | 'hasPadding' ;

AT : 'at' ;
AXIS : 'axis' ;
BALANCED : 'balanced' ;
CAST : 'cast' ;
CEIL : 'ceil' ;
CHECKPOINT : 'checkpoint' ;
DEFAULT : 'default' ;
DIM : 'dim' ;
DROP : 'drop' ;
EACH : 'each' ;
EVERY : 'every' ;
EXPERT : 'expert' ;
FIRST : 'first' ;
FLATTEN : 'flatten' ;
FOR : 'for' ;
FROM : 'from' ;
FROZEN : 'frozen' ;
FUSE : 'fuse' ;
GROUP : 'group' ;
IMPORT : 'import' ;
JOIN : 'join' ;
LAST : 'last' ;
LET : 'let' ;
LISTED : 'listed' ;
LOCAL : 'local' ;
MATCH : 'match' ;
MESH : 'mesh' ;
MULTIPLE : 'multiple' ;
OPTIONAL : 'optional' ;
ORDER : 'order' ;
OVER : 'over' ;
PARAM : 'param' ;
PERMUTE : 'permute' ;
RENAME : 'rename' ;
RENUMBERED : 'renumbered' ;
RULE : 'rule' ;
SCALAR : 'scalar' ;
SPEC : 'spec' ;
SPLIT : 'split' ;
STACK : 'stack' ;
UNSTACK : 'unstack' ;
STAGE : 'stage' ;
STAGES : 'stages' ;
STATES : 'states' ;
TAKE : 'take' ;
TIED : 'tied' ;
TO : 'to' ;
TRANSPOSE : 'transpose' ;
UCL : 'ucl' ;
UNIFORM : 'uniform' ;
VIEW : 'view' ;
VIRTUAL : 'virtual' ;
WIDTHS : 'widths' ;
WINS : 'wins' ;
WITH : 'with' ;

LPAREN : '(' ;
RPAREN : ')' ;
LBRACKET : '[' ;
RBRACKET : ']' ;
LBRACE : '{' ;
RBRACE : '}' ;
COMMA : ',' ;
COLON : ':' ;
SEMICOLON : ';' ;
EQUALS : '=' ;
ARROW : '<->' ;
PLUS : '+' ;
MINUS : '-' ;
STAR : '*' ;
SLASH : '/' ;

INT : [0-9]+ ;
NAME : [A-Za-z_] [A-Za-z0-9_]* | '`' [A-Za-z_] [A-Za-z0-9_]* '`' ;
REGEX : 're"' ('\\' ~[\r\n] | ~["\\\r\n])* '"' ;
STRING : '"' ('\\' ~[\r\n] | ~["\\\r\n])* '"' ;
UNTERMINATED : 're'? '"' ('\\' ~[\r\n] | ~["\\\r\n])* '\\'? ;
COMMENT : '//' ~[\r\n]* -> channel(HIDDEN) ;
SPACE : [ \t\r\n\uFEFF]+ -> skip ;
UNKNOWN : . ;
