// Nothing but words in the language of the visitor: common.js has put them there.
