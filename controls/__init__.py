"""What pages share.

session: what one visitor has chosen; nothing else touches session_state. choices: a choice is declared once and stands
in the link. work: long work, announced, shown, stopped and remembered. panel: a function that draws one question.
clicks: a chart that answers clicks. services/: what is asked of the library and remembered. panels/: what pages draw.
"""
